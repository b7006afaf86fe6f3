"""The commands; `convnextv2.tools.predictor` is for Python programs as well."""
