# Two commands matter: `make demo` shows what hark does, `make test` proves it. Both set up what they need.
.PHONY: demo quick test dist soak coverage bench compare lint clean mutations fuzz screenshots

demo:
	@what=demo; . tools/setup.sh && tools/demo.sh

test:
	@what=test; . tools/setup.sh && tools/test.sh $(ARGS)

# The laws, the golden recordings and the unit tests but those marked slow: under a minute.
quick:
	@what=test; . tools/setup.sh && tools/test.sh -m "not soak and not slow" tests/test_laws.py tests/test_golden.py tests/unit $(ARGS)

# A wheel and an sdist, in dist/.
dist:
	@what=test; . tools/setup.sh && "$$HARK_VENV/bin/python" -m build

# What is too long or heavy for `make test`: the tests marked soak, 10,000 damaged recordings, and coverage.
soak:
	@what=test; . tools/setup.sh && tools/test.sh -m soak $(ARGS) && "$$HARK_VENV/bin/python" fuzz/mutations.py && \
	"$$HARK_VENV/bin/python" tools/coverage.py

# Branch coverage of unit tests and goldens against tests/coverage_floors.txt: several minutes. ARGS=--update raises floors.
coverage:
	@what=test; . tools/setup.sh && "$$HARK_VENV/bin/python" tools/coverage.py $(ARGS)

bench:
	@what=bench; . tools/setup.sh && tools/bench.sh $(ARGS)

# Two installed versions against each other: make compare OLD=path/to/hark NEW=path/to/hark
compare:
	@what=test; . tools/setup.sh && "$$HARK_VENV/bin/python" bench/compare.py $(OLD) $(NEW) $(ARGS)

screenshots:
	@what=test; . tools/setup.sh && "$$HARK_VENV/bin/python" tools/screenshots.py

lint:
	@what=test; . tools/setup.sh && tools/test.sh tests/test_style.py tests/test_laws.py

clean:
	rm -rf build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache bench/out

mutations:
	@what=test; . tools/setup.sh && "$$HARK_VENV/bin/python" fuzz/mutations.py $(ARGS)

# Ten minutes for each target, two at a time: about an hour.
fuzz:
	@what=test; . tools/setup.sh && "$$HARK_VENV/bin/python" -m pip install --quiet atheris && \
	"$$HARK_VENV/bin/python" fuzz/run.py $(ARGS)
