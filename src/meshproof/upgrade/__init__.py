"""`meshproof upgrade`: whether a change of the mesh is safe, and what it changes.

order         what is asked for
plan          the states, and what leads from one to the next
preview       what it is about, in sentences
checking      what is asked for, looked at before anything is brought up
support       whether Istio supports it
steps         what is done to the mesh
overlays      what istioctl is given beside what every mesh of ours has
world         the pods, hosts and policies that all is tried with; its flows and probes
rates         how often requests are sent on this machine
recordings    what is sent, and what becomes of it
facts         what is seen of the mesh in a state
differences   what is otherwise than in the first state; acknowledgements explain some of it
new_cluster   what was seen on two clusters, put together
journey       how far an upgrade has come, and why it ended
run           an upgrade from its first state to its last
whole         the same, from its cluster to its report
evidence      what it leaves to be judged by
verdict       the judgement; disruption is what traffic lost, doubt what keeps an upgrade from being safe
summary       all of it in a few sentences
report        the files, and what a terminal shows
"""

from meshproof.upgrade.acknowledgements import Acknowledgement, read_acknowledgements
from meshproof.upgrade.checking import Checked, checked
from meshproof.upgrade.evidence import Budget, Side, Strategy
from meshproof.upgrade.order import Order
from meshproof.upgrade.overlays import overlay_of
from meshproof.upgrade.preview import preview_of
from meshproof.upgrade.rates import SHORTEST_GAP_MS
from meshproof.upgrade.whole import Upgraded, upgraded

__all__ = [
    "SHORTEST_GAP_MS",
    "Acknowledgement",
    "Budget",
    "Checked",
    "Order",
    "Side",
    "Strategy",
    "Upgraded",
    "checked",
    "overlay_of",
    "preview_of",
    "read_acknowledgements",
    "upgraded",
]
