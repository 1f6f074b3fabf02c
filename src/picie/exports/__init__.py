"""Exports: masks in the forms that other tools open, one module a form."""
