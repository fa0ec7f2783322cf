"""What a page is made of, as a parser sees it, and a name that must never run."""

import re
from html.parser import HTMLParser

HOSTILE = '<script>alert("x")</script>'


class Outline(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.headings, self.urls = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.urls += [value for name, value in attrs if name in ("src", "href", "srcset", "xlink:href") and value]


def outline(text):
    parsed = Outline()
    parsed.feed(text)
    return parsed
