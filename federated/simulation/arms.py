"""The arms of the replay: which list the cloud sends, and whose order the device shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from federated.device.gate import Order

ARMS: Final = (
    "cloud_only",
    "cloud_query",
    "cloud_device",
    "full_loop",
    "cloud_personal",
    "loop_personal",
    "cloud_gated",
    "loop_gated",
)
"""cloud_only: the cloud with what it knows. cloud_query: the device sends its private query vector. cloud_device: the
device re-ranks the list of cloud_only. full_loop: it sends the vector and re-ranks the answer. The last four do as the
two before, with the tower that the device trained for its person (personal), or with whichever order the person's own
earlier choices call for: the cloud's, the global tower's or the personal one's (gated)."""

BOUNDS: Final = ("popularity", "oracle")
"""What any arm must beat, and (synthetic worlds only) what none can."""

SIMPLE: Final[Mapping[bool, str]] = {False: "cloud_{}", True: "uploaded_{}"}
"""Arms of a simple model (see `rivals`), `{}` being its name: given the consented history, as the cloud alone is; given
all that the person has chosen before the event, which is a bound: the private log would have to be uploaded for it."""

FIXED: Final[Mapping[bool, Mapping[Order, str]]] = {
    False: {Order.CLOUD: "cloud_only", Order.GLOBAL: "cloud_device", Order.PERSONAL: "cloud_personal"},
    True: {Order.CLOUD: "cloud_query", Order.GLOBAL: "full_loop", Order.PERSONAL: "loop_personal"},
}
"""Whether a list answers the device's query vector, to order, to the arm that always shows it."""

GATED: Final[Mapping[bool, str]] = {False: "cloud_gated", True: "loop_gated"}
"""Whether a list answers the device's query vector, to the arm that shows the order which the gate chose."""

LOCAL: Final[Mapping[str, str]] = {
    arm: FIXED[is_fresh][Order.GLOBAL]
    for is_fresh in (False, True)
    for arm in (FIXED[is_fresh][Order.PERSONAL], GATED[is_fresh])
}
"""Arm in which a person's own choices decide, to the arm that shows everybody the global tower's order."""

RERANKED: Final[Mapping[str, str]] = {
    arm: FIXED[is_fresh][Order.CLOUD]
    for is_fresh in (False, True)
    for arm in (FIXED[is_fresh][Order.GLOBAL], FIXED[is_fresh][Order.PERSONAL], GATED[is_fresh])
}
"""Arm to the arm that shows the same lists as the cloud ordered them."""
