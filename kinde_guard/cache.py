"""Verified tokens, bounded. A hit still has to be asked for: is it valid now, and is its key still held? (guard.py)"""

from __future__ import annotations
