"""The kinds of environment, one file each; `registry` finds them by looking."""
