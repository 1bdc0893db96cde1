"""The panes and bars, each fed by values of `tui.source`."""
