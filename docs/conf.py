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

nitpick_ignore = [("py:class", "collections.abc.Callable")]  # spelt out in a signature, and read as ours
WITHOUT_ENTRY = {
    *("ActiveFault", "AppGuard", "Call", "Clocks", "Condition", "FastMCPOperations", "GoodAnswer", "Init", "Key"),
    *("KeyStore", "Made", "McpGate", "Mint", "Option", "Provider", "RedisLedger", "Registry", "Settings", "Tenant"),
    "VerifiedToken",
}
"""Types of ours that signatures name, or that public classes are made of, and that nobody imports."""

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
    app.connect("autodoc-process-docstring", name_the_base)
    app.connect("autodoc-process-docstring", leave_out_numbers)
    app.connect("html-page-context", fill_in, priority=900)  # after furo, which makes the navigation


def name_the_base(app, what, name, kind, options, lines):
    """What a class has from a public base is explained there."""
    bases = [base for base in getattr(kind, "__mro__", ())[1:] if base.__module__.startswith("kinde_guard")]
    public = [base for base in bases if not base.__name__.startswith("_") and base.__name__ not in WITHOUT_ENTRY]
    if what in ("class", "exception") and public:
        short = "" if public[0].__name__ == kind.__name__ else "~"
        lines += ["", f"A kind of :class:`{short}{public[0].__module__}.{public[0].__name__}`, and has what that has."]


def leave_out_numbers(app, what, name, member, options, lines):
    """Python says of a field of a tuple that it is an alias for a number, which helps nobody."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


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
    full = node.get("reftarget", "")
    # In a signature, which nobody wrote as a reference: a type of another package, whose pages are on a network; a type
    # alias; and what of ours has no entry on purpose.
    in_a_signature = "refexplicit" not in node and (not full.startswith("kinde_guard.") or target in WITHOUT_ENTRY)
    return contnode if in_a_signature or (node.get("reftype") == "mod" and target in MODULES) else None
