"""Reads notices as Python's email package and Mailman's bounce detector do, and prints what each understood as JSON.

Arguments: the files of the notices.
"""
import email
import json
import sys
from email import policy
from email.utils import parsedate_to_datetime

from flufl.bounce import all_failures


def groups_of(part):
    """The groups of fields of a status part; the parser knows the groups of message/delivery-status only."""
    payload = part.get_payload()
    if part.get_content_type() == "message/delivery-status":
        return [list(map(list, group.items())) for group in payload]
    text = part.as_bytes(policy=policy.SMTPUTF8).partition(b"\r\n\r\n")[2].decode()
    parsed = [email.message_from_string(group, policy=policy.SMTPUTF8) for group in text.split("\r\n\r\n")]
    return [[[name, str(value)] for name, value in group.items()] for group in parsed]


def defects_of(message):
    found = [type(defect).__name__ for part in message.walk() for defect in part.defects]
    found += [type(defect).__name__ for _, value in message.items() for defect in getattr(value, "defects", [])]
    # The parser has these for every address and header in UTF-8 (RFC 6531, RFC 6532).
    international = message.get_payload()[1].get_content_type() == "message/global-delivery-status"
    expected = {"NonASCIILocalPartDefect", "UndecodableBytesDefect"} if international else set()
    return [defect for defect in found if defect not in expected]


def reading(path):
    with open(path, "rb") as file:
        content = file.read()
    message = email.message_from_bytes(content, policy=policy.default)
    parts = message.get_payload()
    temporary, permanent = all_failures(email.message_from_bytes(content))
    returned = parts[2].get_payload()
    return {
        "subject": str(message["Subject"]),
        "from": [[each.display_name, each.addr_spec] for each in message["From"].addresses],
        "date": int(parsedate_to_datetime(message["Date"]).timestamp()) * 1000,
        "reportType": message.get_param("report-type"),
        "types": [part.get_content_type() for part in parts],
        "text": parts[0].get_content(),
        "groups": [dict(group) for group in groups_of(parts[1])],
        "returned": returned[0]["Message-ID"] if isinstance(returned, list) else returned,
        "defects": defects_of(message),
        "temporary": sorted(address.decode() for address in temporary),
        "permanent": sorted(address.decode() for address in permanent),
    }


print(json.dumps([reading(path) for path in sys.argv[1:]]))
