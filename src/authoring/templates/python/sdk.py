"""What a policy in Python is written with.

It turns the columns of facts that the host offers into issues with attributes, and scores with reasons into
what the host expects. A column is read from the host when a policy first asks for it, and then once a call.
"""

import json
from functools import cached_property

from componentize_py_types import Err
from wit_world.exports import ranker as wit
from wit_world.imports import candidates, live_claims, log, request, types

NEVER = 253_402_300_799_999


def _texts(column):
    names = column.names
    return [names[i] for i in column.ids]


def _lists(table):
    named = [table.names[i] for i in table.ids]
    starts = table.starts
    return [named[start:end] for start, end in zip(starts, starts[1:])]


def _column(read):
    """A column that is read when it is first asked for."""
    return cached_property(lambda _: read())


class _IssueColumns:
    repo = _column(lambda: _texts(candidates.repos()))
    number = _column(lambda: candidates.numbers())
    title = _column(lambda: candidates.titles())
    body = _column(lambda: candidates.bodies())
    author = _column(lambda: _texts(candidates.authors()))
    author_association = _column(lambda: _texts(candidates.author_associations()))
    labels = _column(lambda: _lists(candidates.labels()))
    assignees = _column(lambda: _lists(candidates.assignees()))
    milestone = _column(lambda: _texts(candidates.milestones()))
    comment_count = _column(lambda: candidates.comment_counts())
    reaction_count = _column(lambda: candidates.reaction_counts())
    created_at = _column(lambda: candidates.created_at())
    updated_at = _column(lambda: candidates.updated_at())
    current_score = _column(lambda: candidates.scores())
    topics = _column(lambda: _lists(candidates.topics()))
    open_blockers = _column(lambda: _lists(candidates.open_blockers()))
    approval = _column(lambda: _texts(candidates.approvals()))
    areas = _column(lambda: _lists(candidates.areas()))
    reviewers = _column(lambda: _lists(candidates.reviewers()))
    repo_claim_count = _column(lambda: request.repo_claim_counts())
    repo_review_count = _column(lambda: request.repo_review_counts())
    reviewer_load = _column(lambda: request.reviewer_loads())


class _LiveClaimColumns:
    agent = _column(lambda: _texts(live_claims.agents()))
    repo = _column(lambda: _texts(live_claims.repos()))
    number = _column(lambda: live_claims.numbers())
    status = _column(lambda: _texts(live_claims.statuses()))
    areas = _column(lambda: _lists(live_claims.areas()))
    claimed_at = _column(lambda: live_claims.claimed_at())


class _Row:
    __slots__ = ("_columns", "row")

    def __init__(self, columns, row):
        self._columns = columns
        self.row = row


def _attribute(name):
    # As source, because that is what Python makes fast: these run for every issue.
    return property(eval(f"lambda self: self._columns.{name}[self.row]"))


def _row_class(name, columns, doc):
    attributes = {key: _attribute(key) for key in vars(columns) if not key.startswith("_")}
    return type(name, (_Row,), {"__slots__": (), "__doc__": doc, **attributes})


Issue = _row_class("Issue", _IssueColumns, "An open, unclaimed, admitted issue; times are milliseconds since 1970.")
LiveClaim = _row_class("LiveClaim", _LiveClaimColumns, "A live claim beside the issues on offer.")


def _issues():
    columns = _IssueColumns()
    return [Issue(columns, row) for row in range(candidates.count())]


class Request:
    """Who asks."""

    agent = _column(lambda: request.agent())
    claim_count = _column(lambda: request.agent_claim_count())
    claim_repos = _column(lambda: request.agent_claim_repos())
    skills = _column(lambda: request.skills())
    groups = _column(lambda: request.groups())
    review_count = _column(lambda: request.agent_review_count())
    budget_spent = _column(lambda: request.budget_spent())

    def __init__(self, now):
        self.now = now

    @cached_property
    def live_claims(self):
        columns = _LiveClaimColumns()
        return [LiveClaim(columns, row) for row in range(live_claims.count())]

    def retry_after(self, ms):
        """Tells the agent when asking again makes sense, in milliseconds, where it gets nothing."""
        request.retry_after(int(ms))


class Score:
    """The score of one issue, added up term by term. The same code scores and explains."""

    __slots__ = ("value", "end", "skipped", "terms")

    def __init__(self, terms=None):
        self.value = 0.0
        self.end = NEVER
        self.skipped = None
        self.terms = terms

    def add(self, rule, amount, text=""):
        """Adds `amount`, on the word of `rule`. `text` says what it saw; a function is called only if asked."""
        self.value += amount
        if self.terms is not None and (amount or text):
            self.terms.append(types.Reason(rule, float(amount), text() if callable(text) else text))

    def skip(self, reason):
        """Leaves the issue out; the first reason counts. An agent reads it when there is no work."""
        if self.skipped is None:
            self.skipped = reason
        if self.terms is not None:
            self.terms.append(types.Reason("skip", 0.0, reason))

    def valid_until(self, end):
        """Says that this holds until `end` only. Without it: until a fact changes."""
        if end < self.end:
            self.end = int(end)


class Choice:
    """An order of the short list, and what this agent must not get now."""

    def __init__(self):
        self.order = []
        self.skipped = []

    def offer(self, issue):
        """Puts `issue` next. Those never put anywhere follow in the order in which they came."""
        self.order.append(issue.row)

    def skip(self, issue, reason):
        """Leaves `issue` out for this request. The agent reads the reason."""
        self.skipped.append(types.Exclusion(issue.row, reason))


class Ranker:
    """Orders work. Derive from it, in a module `policy`, a class that is called `Ranker` too."""

    #: A JSON Schema of the settings, to which the server holds them; this one takes any.
    schema = {"type": "object"}

    # The component asks for a new object each call; what `take` keeps must be there in the next.
    def __new__(cls):
        if "_only" not in cls.__dict__:
            cls._only = super().__new__(cls)
        return cls._only

    def take(self, settings):
        """Takes the settings; raise ValueError for what cannot work."""

    def rate(self, issue, now, score):
        """Scores one issue from its own facts."""
        raise NotImplementedError

    def pick(self, request, issues, choice):
        """Has the last word when an agent asks."""

    # What the component exports. Facts and times go in and out here; policies need not touch it.

    def settings_schema(self):
        return json.dumps(self.schema)

    def configure(self, settings):
        try:
            self.take(json.loads(settings))
        except ValueError as error:
            raise Err(str(error)) from error
        except Exception as error:
            _tell(error)
            raise

    def score(self, now):
        try:
            return self._score(now)
        except Exception as error:
            _tell(error)
            raise

    def choose(self, now):
        try:
            choice = Choice()
            self.pick(Request(now), _issues(), choice)
            return wit.Choice(choice.order, choice.skipped)
        except Exception as error:
            _tell(error)
            raise

    def explain(self, now):
        try:
            return [self._terms(issue, now) for issue in _issues()]
        except Exception as error:
            _tell(error)
            raise

    def _score(self, now):
        values, ends, skipped = [], [], []
        rate, soonest = self.rate, NEVER
        # One object of each for all rows: a policy must not keep them, since scores do not depend on other issues.
        issue, score = Issue(_IssueColumns(), 0), Score()
        for row in range(candidates.count()):
            issue.row = row
            score.value, score.end, score.skipped = 0.0, NEVER, None
            rate(issue, now, score)
            values.append(float(score.value))
            ends.append(score.end)
            if score.end < soonest:
                soonest = score.end
            if score.skipped is not None:
                skipped.append(types.Exclusion(row, score.skipped))
        return wit.Scores(values, ends if soonest < NEVER else [], skipped)

    def _terms(self, issue, now):
        terms = []
        self.rate(issue, now, Score(terms))
        return terms


def _tell(error):
    """An error of the policy's own code, told to who runs it, before it stops the call."""
    place, step = "", error.__traceback__
    while step is not None:
        # The sources are not at hand here, so the traceback module cannot be asked.
        file = step.tb_frame.f_code.co_filename.rsplit("/", 1)[-1]
        place = f" ({file}, line {step.tb_lineno})" if file != "sdk.py" or not place else place
        step = step.tb_next
    log.write(log.Level.ERROR, f"{type(error).__name__}: {error}{place}")
