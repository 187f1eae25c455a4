"""The netx format of lava-dl: bundle streams, and networks that others trained."""
