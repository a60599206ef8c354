"""Errors: one tree, one code each."""

from fleetjobs import errors
from fleetjobs.errors import Fault, Problem


def faults(kind: type[Fault] = Fault) -> list[type[Fault]]:
    """The class and all below it."""
    return [kind, *(found for below in kind.__subclasses__() for found in faults(below))]


def test_every_fault_has_a_code_of_its_own_and_says_what_it_means() -> None:
    ours = [fault for fault in faults() if fault.__module__ == errors.__name__]

    assert len({fault.code for fault in ours}) == len(ours)
    assert all(fault.__doc__ for fault in ours)


def test_a_problem_tells_what_the_server_told() -> None:
    problem = Problem(409, {"title": "Conflict", "detail": "the id was used before"})

    assert str(problem) == "the id was used before"
    assert (problem.status, problem.document["title"]) == (409, "Conflict")


def test_a_problem_without_words_tells_its_status() -> None:
    assert str(Problem(502, {"title": "Bad Gateway"})) == "Bad Gateway"
    assert str(Problem(502, {})) == "HTTP 502"
