"""The settings of who may use the gateway, and how much of it."""

from __future__ import annotations

from traitlets import Bool, Enum, HasTraits, Int, List, Unicode

from .admission.policy import AdmissionPolicy
from .setting_types import UserLimits

_POLICY = AdmissionPolicy()


class UserSettings(HasTraits):
    """A part of Settings."""

    # Who is let in.

    users_file = Unicode(
        "",
        help="""File of the users, each with a token of their own, that `jupyter kg2at users` writes. It is read afresh
        when it changes. Empty: the one token (KernelGatewayApp.auth_token) lets everybody in, who are all the
        administrator then.""",
    ).tag(config=True)
    admin_users = List(
        Unicode(),
        help="""Names of users who see and may end everybody's kernels, beside those whom the users file or JupyterHub
        calls so. Empty: no others.""",
    ).tag(config=True)
    allow_unauthenticated = Bool(
        None,
        allow_none=True,
        help="""Whether the gateway may run without a token (KernelGatewayApp.auth_token). None: only where no other
        machine reaches it; beyond, a token is made and printed. True: always, so that anyone who reaches the port runs
        code as you. False: never.""",
    ).tag(config=True)
    allow_remote_access = Bool(
        False,
        help="""Whether a gateway without a token serves requests to any host name. True lets every web page that a user
        of it visits run code here, by DNS rebinding. False: only those to local_hostnames, to loopback addresses and
        to the address at which they arrive. With a token it means nothing.""",
    ).tag(config=True)
    authenticate_metrics = Bool(
        True,
        help="""Whether /metrics answers only those who may use the gateway, as all its other pages do. False: whoever
        asks, for a Prometheus that has no token; they learn how much the gateway is used, and nothing of by whom.""",
    ).tag(config=True)
    local_hostnames = List(
        Unicode(),
        ["localhost"],
        help="""Host names under which a gateway without a token is reached, a list of strings, as in
        ["localhost", "gateway.example"]. Empty: none, so that only addresses are served.""",
    ).tag(config=True)

    # How much each may have.

    max_cores_per_user = Int(
        _POLICY.max_cores_per_user,
        min=0,
        help="""Most cores that the kernels of one user may hold together: of who is let in by name, else of who the
        client says (KERNEL_USERNAME). A bound keeps the cluster fair, and idle when few use it. 0: no bound.""",
    ).tag(config=True)
    max_kernels_per_user = Int(
        0,
        min=0,
        help="""Most kernels that one user may have at the same time, a count; those that are being started count.
        Fewer leave room for others. It means nothing while the one token lets everybody in. 0: no bound.""",
    ).tag(config=True)
    user_limits = UserLimits(
        help="""Bounds of single users in the place of max_cores_per_user and max_kernels_per_user: name -> counts, as
        in {"alice": {"max_cores": 16, "max_kernels": 4}}; 0 is no bound. Those in the users file win. Empty: none.""",
    ).tag(config=True)
    queue_order = Enum(
        ["fifo", "fair"],
        None,
        allow_none=True,
        help="""Who is next for cores: fifo, who came first; or fair, one notebook of each user in turn, so that who
        asks for many does not keep the others waiting. None: fair where the gateway tells its users apart, else
        fifo.""",
    ).tag(config=True)
