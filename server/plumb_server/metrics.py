"""What is counted, for Prometheus."""

import prometheus_client

from plumb_backends.simulated.settings import Call

_sessions = prometheus_client.Gauge("plumb_sessions", "Live sessions", ["kind", "backend"])
_creations = prometheus_client.Histogram(
    "plumb_session_creation_seconds",
    "Creation of a session, grounding included",
    ["kind", "backend"],
)
_steps = prometheus_client.Counter("plumb_steps", "Answered steps", ["kind", "backend", "ending"])
_step_seconds = prometheus_client.Histogram(
    "plumb_step_seconds",
    "Steps, from the start of the action to its end",
    ["kind", "backend"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600),
)
_errors = prometheus_client.Counter(
    "plumb_errors", "Calls answered with an error", ["method", "reason"]
)
_model_calls = prometheus_client.Counter(
    "plumb_model_calls", "Calls of models, and how they ended", ["model", "outcome"]
)
_model_seconds = prometheus_client.Histogram(
    "plumb_model_seconds", "Calls of models, retries included", ["model"]
)
_model_tokens = prometheus_client.Counter(
    "plumb_model_tokens", "Tokens sent to and received from models", ["model", "direction"]
)
_model_cost = prometheus_client.Counter(
    "plumb_model_usd", "What models cost, where their price is known", ["model"]
)
_rejections = prometheus_client.Counter(
    "plumb_model_rejections", "Replies of models that were not taken", ["model", "why"]
)
_verdicts = prometheus_client.Counter(
    "plumb_verdicts", "Verdicts of paired sessions", ["kind", "verdict"]
)
_places = prometheus_client.Gauge(
    "plumb_places_taken", "Of PLUMB_MAX_SESSIONS, comparisons and groundings included"
)
_pool_size = prometheus_client.Gauge("plumb_pool_size", "What a pool has ready", ["pool"])
_pool_draws = prometheus_client.Counter(
    "plumb_pool_draws", "Sessions that asked a pool: hit, empty, dead, unfit", ["pool", "outcome"]
)
_pool_failures = prometheus_client.Counter(
    "plumb_pool_failures", "How often a pool began to fail to be filled", ["pool"]
)
_creations_waiting = prometheus_client.Gauge(
    "plumb_creations_waiting", "Creations that wait for their turn", ["kind"]
)

_journal_bytes = prometheus_client.Gauge("plumb_journal_bytes", "What the journal holds")
_journal_free_bytes = prometheus_client.Gauge(
    "plumb_journal_free_bytes", "What the journal's disk has left for it"
)
_journal_budgets_near = prometheus_client.Counter(
    "plumb_journal_budgets_near", "Sessions that used most of PLUMB_SESSION_JOURNAL_BYTES"
)
_leftovers = prometheus_client.Gauge(
    "plumb_leftovers", "Ended sessions of which something could not be removed yet"
)


def session_created(kind: str, backend: str, seconds: float) -> None:
    """Counts a new session."""
    _sessions.labels(kind, backend).inc()
    _creations.labels(kind, backend).observe(seconds)


def session_ended(kind: str, backend: str) -> None:
    """Counts a session that ended."""
    _sessions.labels(kind, backend).dec()


def step_answered(kind: str, backend: str, ending: str, seconds: float) -> None:
    """Counts a step."""
    _steps.labels(kind, backend, ending).inc()
    _step_seconds.labels(kind, backend).observe(seconds)


def model_called(call: Call) -> None:
    """Counts a call of a model."""
    _model_calls.labels(call.model, call.outcome).inc()
    _model_seconds.labels(call.model).observe(call.seconds)
    _model_tokens.labels(call.model, "prompt").inc(call.prompt_tokens)
    _model_tokens.labels(call.model, "completion").inc(call.completion_tokens)
    _model_cost.labels(call.model).inc(call.usd)


def reply_rejected(model: str, name: str) -> None:
    """Counts a model's reply that was not taken; `name` is the kind of break."""
    _rejections.labels(model, name).inc()


def verdict_given(kind: str, verdict: str) -> None:
    """Counts a verdict of a paired session."""
    _verdicts.labels(kind, verdict).inc()


def places_taken(count: int) -> None:
    """Notes how many places are taken."""
    _places.set(count)


def journal_room(used: int | None, free: int | None) -> None:
    """Notes what the journal takes, and what there is."""
    for gauge, value in ((_journal_bytes, used), (_journal_free_bytes, free)):
        if value is not None:
            gauge.set(value)


def journal_budget_near() -> None:
    """Counts a session that has used most of its share of the journal."""
    _journal_budgets_near.inc()


def leftovers(count: int) -> None:
    """Notes of how many ended sessions something is left."""
    _leftovers.set(count)


def pool_holds(pool: str, count: int) -> None:
    """Notes how many things a pool has ready."""
    _pool_size.labels(pool).set(count)


def pool_asked(pool: str, outcome: str) -> None:
    """Counts a session that asked a pool."""
    _pool_draws.labels(pool, outcome).inc()


def pool_failed(pool: str) -> None:
    """Counts a pool that cannot be filled any more."""
    _pool_failures.labels(pool).inc()


def creations_wait(kind: str, count: int) -> None:
    """Notes how many creations wait for their turn."""
    _creations_waiting.labels(kind).set(count)


def call_failed(method: str, reason: str) -> None:
    """Counts a call that was answered with an error."""
    _errors.labels(method, reason).inc()


def serve(port: int) -> None:
    """Serves the metrics over HTTP on loopback, from a thread of its own."""
    prometheus_client.start_http_server(port, addr="127.0.0.1")
