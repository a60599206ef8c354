"""Progress documents: how far what is at work says that it has come."""

from pydantic import BaseModel

from fleetjobs.contract import Progress
from fleetjobs.jobs import Run


class ProgressDocument(BaseModel):
    """How far a program says it has come."""

    percent: float | None
    text: str

    @classmethod
    def told(cls, progress: Progress | None) -> "ProgressDocument | None":
        """What a program told, as a document."""
        if progress is None:
            return None
        return cls.model_construct(percent=progress.percent, text=progress.text)

    @classmethod
    def of(cls, run: Run) -> "ProgressDocument | None":
        """What is known of a run; None once it has ended, when its reply says more."""
        if run.state.is_terminal or (run.percent is None and not run.doing):
            return None
        return cls.model_construct(percent=run.percent, text=run.doing)
