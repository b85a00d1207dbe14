"""A local page for the browser: open a recording, choose faces, compare before and after, download.

A thin layer: all work is done by `avse.enhancement` and `avse.reports`. Needs the extra ``ui`` (Gradio).
"""
