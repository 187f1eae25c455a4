"""Cutting a model in two: placement rules, the splitter, the spiking program, the bridge."""
