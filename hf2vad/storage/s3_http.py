"""How S3 is asked and its answers are read, where botocore and aiohttp do more than is wanted."""

from __future__ import annotations

from typing import Any, cast

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.parsers import AioResponseParserFactory, AioRestXMLParser


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
