"""The settings of the HTTP service: where it listens, and whom it believes."""

from __future__ import annotations

from jobpipe.config import tokens, values, web
from jobpipe.config.setting import Setting

SERVING: tuple[Setting, ...] = (
    Setting(
        field="host",
        env="JOBPIPE_HOST",
        read=web.read_host,
        default="127.0.0.1",
        allowed="a name or an address; without tokens one of this machine alone",
        doc="Where the HTTP service listens.",
    ),
    Setting(
        field="port",
        env="JOBPIPE_PORT",
        read=values.whole(0, 65_535),
        default="8000",
        allowed="a port from 1 to 65535, or 0 for any that is free",
        doc="The port of the HTTP service.",
    ),
    Setting(
        field="tokens",
        env="JOBPIPE_TOKENS",
        read=values.optional(tokens.read_tokens),
        default=None,
        allowed=f"`name:role:token` entries, roles {tokens.ROLES}; `sha256:` and its hash may"
        " stand for the token",
        doc="Who may call the HTTP service. Without tokens only this machine may.",
        secret=True,
        show=tokens.format_tokens,
        mask=tokens.mask_tokens,
    ),
    Setting(
        field="tokens_file",
        env="JOBPIPE_TOKENS_FILE",
        read=values.optional(values.read_text),
        default=None,
        allowed="the path of a file with one such entry a line",
        doc="More tokens, read anew when the file changes; `jobpipe token` edits it.",
    ),
    Setting(
        field="cors_origins",
        env="JOBPIPE_CORS_ORIGINS",
        read=web.read_origins,
        default="",
        allowed="origins such as `https://app.example`, or nothing",
        doc="Web pages of other origins whose scripts may call the HTTP service.",
        show=web.format_list,
    ),
    Setting(
        field="allowed_hosts",
        env="JOBPIPE_ALLOWED_HOSTS",
        read=web.read_hosts,
        default="",
        allowed="names and addresses, or nothing",
        doc="What a request may name in its Host header, beside JOBPIPE_HOST and this machine's"
        " own names; when nothing is named and tokens are set, anything.",
        show=web.format_list,
    ),
    Setting(
        field="trusted_proxies",
        env="JOBPIPE_TRUSTED_PROXIES",
        read=web.read_proxies,
        default="",
        allowed="addresses and networks, or nothing",
        doc="Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
        show=web.format_list,
    ),
    Setting(
        field="access_log",
        env="JOBPIPE_ACCESS_LOG",
        read=values.read_switch,
        default="off",
        allowed="`on` or `off`",
        doc="Whether each request to the HTTP service is logged.",
        show=values.format_switch,
    ),
)
