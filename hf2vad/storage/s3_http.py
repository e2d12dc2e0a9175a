"""How S3 is asked and its answers are read, where botocore and aiohttp do more than is wanted."""

from __future__ import annotations

from typing import Any, cast

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.parsers import AioResponseParserFactory, AioRestXMLParser
from aiobotocore.session import AioSession
from botocore import handlers

HEAD = 256
"""Bytes at the beginning of an answer that name what it is."""
_handle_200_error = getattr(handlers, "_handle_200_error", None)
"""Private to botocore, so a release may lack it: listings are then read as botocore reads them."""


class OnceSession(AIOHTTPSession):  # type: ignore[misc]
    """The HTTP client, without aiohttp's own second try of a request whose connection broke."""

    async def _get_session(self, proxy_url: str | None) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession = await super()._get_session(proxy_url)
        session._retry_connection = False
        return session


class _ListingParser(AioRestXMLParser):  # type: ignore[misc]
    """botocore's reader of answers, which takes half of a listing's time to make out the types of each object's
    fields: here they stay text, by their names in the XML."""

    def _handle_list(self, shape: Any, node: Any) -> list[Any]:
        if shape.name != "ObjectList":
            return cast(list[Any], super()._handle_list(shape, node))
        objects = node if isinstance(node, list) else [node]
        return [{field.tag.rpartition("}")[2]: field.text or "" for field in each} for each in objects]


class ParserFactory(AioResponseParserFactory):  # type: ignore[misc]
    """Gives that reader to whoever reads XML."""

    def create_parser(self, protocol_name: str) -> Any:
        if protocol_name != "rest-xml":
            return super().create_parser(protocol_name)
        # Its own reader of times takes three quarters of what is left: times stay text until `_unix_time`.
        return _ListingParser(timestamp_parser=str)


def read_listings_once(session: AioSession) -> None:
    """Let clients of `session` look for an error in an answer of status 200 as botocore does, but for whole listings.

    It reads each answer's XML for that, and then once more for what the answer says: a third of a listing's time.
    """
    if _handle_200_error is None:
        return
    events = session.get_component("event_emitter")
    events.unregister("before-parse.s3.*", _handle_200_error)
    events.register_first("before-parse.s3.*", _note_error)


def _note_error(operation_model: Any, response_dict: dict[str, Any], **more: Any) -> None:
    is_listing = operation_model.name == "ListObjectsV2" and b"<ListBucketResult" in response_dict["body"][:HEAD]
    if not is_listing and _handle_200_error is not None:
        _handle_200_error(operation_model, response_dict, **more)
