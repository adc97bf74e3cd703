"""How long the steps of a kernel's life may take."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..system.process_group import KillTimes


@dataclass(frozen=True)
class Timing:
    """Seconds, unless it says otherwise. The manager has one for all its kernels; tests hand it shorter ones."""

    #: Between two looks at a kernel that has not answered yet.
    start_poll: float = 0.2
    #: Until its process is asked once more: whoever had its port a moment before may have got the question.
    ask_again: float = 10.0
    #: That a Toree has to take its handler for interrupts. It takes one, which its first cell then takes less.
    interrupt_limit: float = 60.0
    #: That a kernel which waits has for each cell that warms it, and to take what is its user's.
    warm_limit: float = 60.0
    hand_out_limit: float = 10.0
    #: Between two attempts to kill what survived a shutdown.
    zombie_retry: float = 5.0
    #: Until an adoption looks for processes again.
    second_look: float = 0.5
    #: That the state directory of a gateway which was killed just now stays locked.
    lock_limit: float = 1.0
    #: Between two looks at kernels that hold cores: while a cell runs, and while none does.
    core_look: float = 0.25
    idle_core_look: float = 5.0
    #: That a cell lacks an executor before its notebook is told; with dynamic allocation.
    core_grace: float = 0.5
    elastic_core_grace: float = 1.5
    #: That an application has its cores, but no executor, before it is asked what became of them, and then again.
    executor_look: float = 3.0
    #: Between two looks at the kernels that wait for users, and how long none of them is started after a user's start.
    warm_look: float = 3.0
    warm_quiet: float = 5.0
    #: The age of a kernel whose cells still count as its start: its first ones load most of what it needs.
    first_cells: float = 60.0
    #: That one may take to be ready.
    warm_start_limit: float = 300.0
    #: After a start that failed, at first and at most.
    warm_retry: float = 5.0
    longest_warm_retry: float = 600.0
    #: Between two looks at Spark and its master for those who ask whether kernels can start, and how long they wait for
    #: one: Kubernetes gives a probe one second.
    ready_look: float = 5.0
    ready_patience: float = 0.8
    #: Between two questions to a driver how far its jobs are, how long they are asked after a look at them, and for how
    #: long one is waited for.
    jobs_poll: float = 2.0
    jobs_watched: float = 10.0
    jobs_limit: float = 5.0
    #: For an answer of a driver's web UI.
    ui_limit: float = 30.0
    #: For the processes that a kernel leaves behind.
    kill: KillTimes = field(default_factory=KillTimes)
