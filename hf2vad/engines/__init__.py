"""Engines, by name. All but eager are compared with eager on the bundle's probe cubes before they are used.

`settings` says which engine, `target` where a built one is good, `package` keeps it; `network` is what they have in
common; `compiled`, `aot` and `tensorrt` build and run them; `make` makes one; `choose` is what `auto` does, and
`request` that choice as a worker makes it.
"""
