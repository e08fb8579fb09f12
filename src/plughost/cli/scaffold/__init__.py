"""Making the folder of a new plugin from the template that lies in the wheel.

The template is a plain Copier template: `copier copy` and `copier update` work on the same files. What is needed
of Copier to render it once, without asking, is here.
"""
