// Opened from a folder, a page may not read another one, so the search shows names alone: no excerpts are asked for.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
