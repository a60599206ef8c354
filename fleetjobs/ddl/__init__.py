"""DDL: MCollective's interface files in Ruby, read as data. No Ruby is ever evaluated."""
