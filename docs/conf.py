"""How the site is built: ``uv run python -m sphinx -W -n -b html docs docs/_build``.

Strict: a dead link and a name that is not there are errors (``-W -n``). Nothing is loaded from elsewhere, so the site
works without a network, its search included.
"""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings

import kinde_guard
from kinde_guard import __version__

settings.configure()  # Ninja is not loaded without
MODULES = {path.stem for path in Path(kinde_guard.__file__).parent.rglob("*.py")}

project = "kinde_guard"
author = "The kinde_guard authors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.coverage", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "kinde_guard"
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
pygments_dark_style = "github-dark"
highlight_language = "none"  # a block that names no language is what a terminal or a log shows
templates_path: list[str] = []
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

OTHERS = (
    "asyncio",
    "collections",
    "concurrent",
    "django",
    "fastapi",
    "fastmcp",
    "flask",
    "httpx",
    "mcp",
    "ninja",
    "opentelemetry",
    "rest_framework",
    "starlette",
    "types",
    "typing",
    "typing_extensions",
    "werkzeug",
)
# Types of other packages are named and not linked: their pages are on a network. So are our own types that nobody needs
# to import.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(asyncio|collections|concurrent|django|fastapi|fastmcp|flask|httpx2?|mcp|ninja|opentelemetry|rest_framework|starlette|types|typing|typing_extensions|werkzeug)\..*",
    ),
    (r"py:.*", r"kinde_guard\.\w+\.\w+\..*"),
    (r"py:.*", r".*[\[\]'].*"),  # pieces of a type that is spelt out
    (r"py:data", r"Refusal|UNSIGNED"),
    (r"py:class", r"(Audiences|Clocks|Domains|IssuerHealth|Seeds|SharedWhere|Variables|WSGIApplication)"),
    (r"py:class", r".*Settings|integer -- .*"),
]


LEFT_OUT = {
    'role="heading">': 'role="heading" aria-level="2">',
    "<pre>": '<pre tabindex="0">',
    'class="table-wrapper ': 'tabindex="0" class="table-wrapper ',
    '<dl>\n<dd><em class="sig-param">': '<dl role="none">\n<dd><em class="sig-param">',
    '<dd><em class="sig-param">': '<dd role="none"><em class="sig-param">',
}
"""What Sphinx and furo leave out for those who use a keyboard or a screen reader: levels of headings, a way to scroll
what is wider than a phone; and the lines of a signature are no list of definitions."""


def setup(app):
    app.connect("missing-reference", resolve_short_name)
    app.connect("html-page-context", fill_in, priority=900)  # after furo, which makes the navigation


def fill_in(app, page, template, context, doctree):
    for part in ("body", "furo_navigation_tree"):
        for written, meant in LEFT_OUT.items():
            context[part] = context.get(part, "").replace(written, meant)
    if page == "reasons":  # #wrong_audience, as logs and metrics write it, beside #wrong-audience
        context["body"] = re.sub(r'<section id="([a-z-]+)">', by_its_own_word, context["body"])


def by_its_own_word(section):
    return f'{section[0]}<span id="{section[1].replace("-", "_")}"></span>' if "-" in section[1] else section[0]


def resolve_short_name(app, env, node, contnode):
    """A docstring says ``:class:`Guard```, as a reader of the source would: the one page that has it is meant. A module
    that nobody imports is named, and has no page."""
    from sphinx.util.nodes import make_refnode

    target = node.get("reftarget", "").rpartition(".")[2]
    objects = env.get_domain("py").objects
    found = sorted((name for name in objects if name.rpartition(".")[2] == target), key=len)
    if found:
        entry = objects[found[0]]
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, found[0])
    in_a_signature = "refexplicit" not in node  # a type alias, which nobody wrote as a reference
    return contnode if in_a_signature or (node.get("reftype") == "mod" and target in MODULES) else None
