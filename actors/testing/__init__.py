"""tcemu inside other people's tests: a pytest plugin, Hypothesis strategies, a state machine to subclass.

Nothing is imported here: pytest loads the plugin wherever tcemu is installed, and it must cost nothing.
"""
