"""Traffic: requests at a steady rate from several places, and what became of each.

endings      how a request can end
flows        what is asked for
records      what became of it, one by one and in numbers
senders      the program that sends, here or in a pod, and its lines
recorder     flows and marks on one time line, and what is left of them
calibration  whether it sees what is lost, and nothing else
picture      the same as a picture
drawing      what pictures of traffic are drawn with
"""

from meshproof.traffic.calibration import MANIFEST, SOURCES, Calibration, calibrate
from meshproof.traffic.endings import Ending
from meshproof.traffic.flows import OUTSIDE, Connections, Flow
from meshproof.traffic.recorder import LONGEST, Recording, a_few, record, sent
from meshproof.traffic.records import Flown, Record

__all__ = [
    "LONGEST",
    "MANIFEST",
    "OUTSIDE",
    "SOURCES",
    "Calibration",
    "Connections",
    "Ending",
    "Flow",
    "Flown",
    "Record",
    "Recording",
    "a_few",
    "calibrate",
    "record",
    "sent",
]
