# What people and continuous integration type; `make` lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# What to bring up: `make e2e ISTIO=1.31.0 KUBERNETES=1.35.4 IMAGES=packages`.
ISTIO ?=
KUBERNETES ?=
ENVOY ?=
IMAGES ?= auto

# All tests in the runs of a matrix, and not only the quick ones: `make matrix-e2e FULL=1`.
FULL ?=

# What to upgrade: `make upgrade FROM=1.30 TO=1.31.0`; STRATEGY=in-place, ROLLBACK=1, and OPTIONS="--overlay mine.yaml".
# The same mesh on a new cluster: `make upgrade FROM=1.31.0 KUBERNETES=1.33.13 TO_KUBERNETES=1.34.4`.
FROM ?=
TO ?=
TO_KUBERNETES ?=
STRATEGY ?=
ROLLBACK ?=
OPTIONS ?=

# Show what the runs of a matrix print: `make matrix-e2e VERBOSE=1`.
VERBOSE ?=

# Which mutants to draw, and how many: `make mutants SEED=2 COUNT=50`.
SEED ?= 1
COUNT ?= 300

# The releases of Istio whose lock files to write, and nothing else: `make lock LOCK="1.30 1.31.0"`.
LOCK ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VERSIONS := --images=$(IMAGES) $(if $(ISTIO),--istio-version=$(ISTIO)) \
            $(if $(KUBERNETES),--kubernetes-version=$(KUBERNETES)) $(if $(ENVOY),--envoy-version=$(ENVOY))
MESH := --mesh-images=$(IMAGES) $(if $(ISTIO),--mesh-istio=$(ISTIO)) \
        $(if $(KUBERNETES),--mesh-kubernetes=$(KUBERNETES)) $(if $(ENVOY),--mesh-envoy=$(ENVOY))
PROOFS := tests/e2e -p no:hypothesispytest
QUICK := -m "not slow"

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: e2e
e2e: forget doctor ## Prove a mesh on a real cluster: set-up, the quick tests, clean-up
	@$(BIN)/pytest $(PROOFS) $(QUICK) $(MESH) --junitxml=artifacts/junit.xml

.PHONY: e2e-full
e2e-full: forget doctor ## The same with all tests, those under traffic too
	@$(BIN)/pytest $(PROOFS) $(MESH) --junitxml=artifacts/junit.xml

ifneq ($(filter upgrade,$(MAKECMDGOALS)),)
UPGRADES := FROM TO TO_KUBERNETES KUBERNETES STRATEGY ROLLBACK IMAGES OPTIONS
TYPED := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
ifneq ($(filter-out $(UPGRADES) MAKE% MESHPROOF_%,$(TYPED)),)
$(error `make upgrade` has no $(filter-out $(UPGRADES) MAKE% MESHPROOF_%,$(TYPED)): it takes $(UPGRADES))
endif
ifeq ($(and $(FROM),$(TO)$(TO_KUBERNETES)$(filter new-cluster,$(STRATEGY))),)
$(error `make upgrade` needs FROM, and TO or TO_KUBERNETES, such as FROM=1.30 TO=1.31.0)
endif
endif

.PHONY: upgrade
upgrade: $(if $(findstring --plan,$(OPTIONS)),$(READY),doctor) ## Say whether an upgrade is safe: FROM=1.30 TO=1.31.0, and STRATEGY=in-place ROLLBACK=1 OPTIONS=…
	@$(BIN)/meshproof upgrade $(if $(FROM),--from=$(FROM)) $(if $(TO),--to=$(TO)) --images=$(IMAGES) \
	  $(if $(STRATEGY),--strategy=$(STRATEGY)) $(if $(filter-out 0,$(ROLLBACK)),--rollback) \
	  $(if $(KUBERNETES),--kubernetes-version=$(KUBERNETES)) \
	  $(if $(TO_KUBERNETES),--to-kubernetes=$(TO_KUBERNETES)) $(OPTIONS) tests/e2e

.PHONY: matrix-e2e
matrix-e2e: doctor ## Do so for each pair of versions; ISTIO="1.30 1.31.0" KUBERNETES=… only these, FULL=1 VERBOSE=1
	@exec $(BIN)/python -m tools.matrix_e2e --images=$(IMAGES) --istio="$(ISTIO)" --kubernetes="$(KUBERNETES)" \
	  $(if $(ENVOY),--envoy=$(ENVOY)) $(if $(VERBOSE),--verbose) -- $(PROOFS) $(if $(FULL),,$(QUICK))

.PHONY: registry-e2e
registry-e2e: doctor ## Run `make e2e IMAGES=registry` against a registry on this machine that has images of ours
	@$(BIN)/python -m tools.registry_e2e $(if $(ISTIO),--istio=$(ISTIO)) $(if $(KUBERNETES),--kubernetes=$(KUBERNETES))

.PHONY: forget
forget: # the result of the last run, for `make summary` is not to show it as that of this one
	@rm -f artifacts/promises.json artifacts/junit.xml artifacts/matrix.md artifacts/matrix.json

.PHONY: test
test: $(READY) ## Run the project's own tests: no Docker, no cluster
	@$(BIN)/pytest tests/unit
	@$(BIN)/pytest -n 4 tests/misbehaviour

.PHONY: own
own: doctor ## Prove that the package works in a repository of one's own, on a kept cluster
	@$(BIN)/pytest tests/own

.PHONY: parity
parity: $(READY) ## Compare `meshproof scan` with testssl.sh on real servers on this machine
	@./tools/peers
	@$(BIN)/pytest tests/parity

.PHONY: browser
browser: $(READY) ## Look at the pages in Chromium: narrow, wide and on paper, in light and dark
	@./tools/browser
	@$(BIN)/pytest tests/browser

.PHONY: mutants
mutants: $(READY) ## Make small mistakes in the scan's code, and count those that `make test` notices
	@$(BIN)/python tools/mutants.py --seed $(SEED) --count $(COUNT)

.PHONY: mesh-mutants
mesh-mutants: doctor ## Break the manifests one at a time, and see that a row fails that says so; KEPT=1 on one cluster
	@$(BIN)/python tools/mesh_mutants.py $(if $(KEPT),--kept)

.PHONY: bad-upgrades
bad-upgrades: doctor ## Upgrade a mesh badly, one way after the other, and see that each is called what it is
	@$(BIN)/python tools/bad_upgrades.py

.PHONY: check
check: $(READY) ## Lint and check types, of the workflows too
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python tools/actionlint.py

.PHONY: fmt
fmt: $(READY) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: up
up: doctor ## Bring up a cluster with Istio, to keep
	@$(BIN)/meshproof up $(VERSIONS)

.PHONY: down
down: $(READY) ## Delete the cluster that was kept
	@$(BIN)/meshproof down

.PHONY: status
status: $(READY) ## List the clusters that were kept
	@$(BIN)/meshproof status

.PHONY: images
images: doctor ## Build the images, so that the first run does not have to
	@$(BIN)/meshproof images build $(VERSIONS)

.PHONY: doctor
doctor: $(READY) ## Look whether this machine can run a cluster, and install what is missing where we may
	@$(BIN)/meshproof doctor --fix

.PHONY: bench
bench: doctor ## Time `make e2e` by phase, with and without a kept cluster, into artifacts/bench.json
	@$(BIN)/python tools/bench.py
	@./tools/peers
	@$(BIN)/python tools/bench_scan.py

.PHONY: matrix
matrix: $(READY) ## Print the versions that continuous integration runs, as JSON
	@$(BIN)/meshproof images matrix

.PHONY: summary
summary: $(READY) ## Print the result of the last `make e2e` or `make matrix-e2e` as Markdown
	@$(BIN)/python tools/summary.py

.PHONY: lock
lock: $(READY) ## Write the lock files anew; LOCK=1.31.0 only those of that release of Istio, or of several
	@$(BIN)/python -m tools.lock $(LOCK)

.PHONY: pin
pin: $(READY) ## Ask the registry for the digests of its images, and write them into versions.toml
	@$(BIN)/python -m tools.pin

.PHONY: setup
setup: $(READY) ## Make the virtual environments, from the lock files

$(READY): requirements.lock tools/sslyze.lock tools/setup pyproject.toml
	@./tools/setup $(VENV) && touch $@
