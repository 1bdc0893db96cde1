"""The environment in which programs go through the proxy and trust its CA."""

from __future__ import annotations

from collections.abc import Mapping

from wsinspect.entry.trust import TRUSTSTORE_PASSWORD, TrustFiles

PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "WSS_PROXY")
"""Upper and lower case: curl reads http_proxy in lower case alone, others only the upper."""
EXCEPTIONS = ("NO_PROXY",)
_DROPPED = ("SOCKS_PROXY", "SOCKS5_PROXY")
"""Some clients prefer these to an HTTP proxy."""

BUNDLE = (
    "SSL_CERT_FILE",  # OpenSSL, and with it Python's ssl, Ruby, PHP; Go; rustls-native-certs
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "WEBSOCKET_CLIENT_CA_BUNDLE",  # Python's websocket-client
)
EXTRA = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")


def through_proxy(environment: Mapping[str, str], host: str, port: int, files: TrustFiles) -> dict[str, str]:
    """`environment`, with every variable that sends a program through `host:port`, loopback included."""
    url = f"http://{host}:{port}"
    dropped = {name for upper in _DROPPED for name in (upper, upper.lower())}
    changed = {name: value for name, value in environment.items() if name not in dropped}
    changed |= {name: url for upper in PROXY for name in (upper, upper.lower())}
    changed |= {name: "" for upper in EXCEPTIONS for name in (upper, upper.lower())}
    changed |= {name: str(files.bundle) for name in BUNDLE}
    changed |= {name: str(files.extra) for name in EXTRA}
    changed["NODE_USE_ENV_PROXY"] = "1"
    java = [environment.get("JAVA_TOOL_OPTIONS", ""), *_java(host, port, files)]
    changed["JAVA_TOOL_OPTIONS"] = " ".join(filter(None, java))
    return changed


def _java(host: str, port: int, files: TrustFiles) -> list[str]:
    """System properties; an empty http.nonProxyHosts lets loopback go through."""
    store = str(files.truststore)
    properties = {
        "http.proxyHost": host,
        "http.proxyPort": str(port),
        "https.proxyHost": host,
        "https.proxyPort": str(port),
        "http.nonProxyHosts": "",
        "javax.net.ssl.trustStore": f'"{store}"' if " " in store else store,
        "javax.net.ssl.trustStoreType": "PKCS12",
        "javax.net.ssl.trustStorePassword": TRUSTSTORE_PASSWORD,
    }
    return [f"-D{name}={value}" for name, value in properties.items()]
