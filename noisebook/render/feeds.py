"""What a site has only if report.yaml says where it will stand: a site map, a feed, robots.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from noisebook.report.model import Report, Section


def files(report: Report, pages: Sequence[tuple[str, Section]]) -> Iterator[tuple[str, bytes]]:
    """Names and contents."""
    base = report.base_url.rstrip("/")
    addresses = [f"{base}/", *(f"{base}/{href}" for href, _ in pages)]
    urls = "".join(f"<url><loc>{escape(address)}</loc></url>\n" for address in addresses)
    yield (
        "sitemap.xml",
        '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{urls}</urlset>\n".encode(),
    )
    yield "robots.txt", f"User-agent: *\nAllow: /\nSitemap: {base}/sitemap.xml\n".encode()
    items = "".join(
        f"<item><title>{escape(' '.join(filter(None, [section.number, section.title])))}</title>"
        f"<link>{escape(f'{base}/{href}')}</link><guid>{escape(f'{base}/{href}')}</guid>"
        f"<description>{escape(section.summary)}</description></item>\n"
        for href, section in pages
    )
    yield (
        "feed.xml",
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel>\n'
        f"<title>{escape(report.title)}</title><link>{escape(base)}/</link>"
        f"<description>{escape(report.description or report.subtitle or report.title)}</description>\n"
        f"{items}</channel></rss>\n".encode(),
    )


def anywhere(html: str, base_url: str) -> str:
    """A page that a server shows at any address: what it links to and loads is found from the site's own."""
    base = escape(base_url.rstrip("/"))

    def whole(match: re.Match[str]) -> str:
        places = " ".join(f"{base}/{place}" for place in match[2].split())
        return f' {match[1]}="{places}"'

    return re.sub(
        r' (href|src|data-search|data-engine|data-figures|data-fonts)="((?!#|[a-z]+:)[^"]+)"', whole, html
    )
