// What a policy in JavaScript is written with. It turns the columns of facts that the host offers into
// issues with properties, and scores with reasons into what the host expects. A column is read from the host
// when a policy first asks for it, and then once a call.

import * as candidates from 'issuecommand:policy/candidates@0.1.0';
import * as live from 'issuecommand:policy/live-claims@0.1.0';
import * as log from 'issuecommand:policy/log@0.1.0';
import * as request from 'issuecommand:policy/request@0.1.0';

// Plain loops: these run for every issue, in an interpreter.
function texts({ names, ids }) {
  const rows = new Array(ids.length);
  for (let row = 0; row < rows.length; row++) rows[row] = names[ids[row]];
  return rows;
}

const NONE = Object.freeze([]);

function lists({ names, starts, ids }) {
  const rows = new Array(starts.length - 1);
  for (let row = 0, start = starts[0]; row < rows.length; row++) {
    const end = starts[row + 1];
    rows[row] = start === end ? NONE : texts({ names, ids: ids.subarray(start, end) });
    start = end;
  }
  return rows;
}

// Numbers of 64 bits are read and written in halves, the lower first: a BigInt for each would cost most of a call.
const HALF = 2 ** 32;
const halves = (column) => new Uint32Array(column.buffer, column.byteOffset, 2 * column.length);

function numbers(column) {
  const rows = new Float64Array(column.length);
  const from = halves(column);
  for (let row = 0, at = 0; row < rows.length; row++, at += 2) rows[row] = from[at] + from[at + 1] * HALF;
  return rows;
}

// Property of an issue: how its column is read.
const ISSUE = {
  repo: () => texts(candidates.repos()),
  number: () => numbers(candidates.numbers()),
  title: () => candidates.titles(),
  body: () => candidates.bodies(),
  author: () => texts(candidates.authors()),
  authorAssociation: () => texts(candidates.authorAssociations()),
  labels: () => lists(candidates.labels()),
  assignees: () => lists(candidates.assignees()),
  milestone: () => texts(candidates.milestones()),
  commentCount: () => candidates.commentCounts(),
  reactionCount: () => candidates.reactionCounts(),
  createdAt: () => numbers(candidates.createdAt()),
  updatedAt: () => numbers(candidates.updatedAt()),
  currentScore: () => candidates.scores(),
  topics: () => lists(candidates.topics()),
  openBlockers: () => lists(candidates.openBlockers()),
  approval: () => texts(candidates.approvals()),
  areas: () => lists(candidates.areas()),
  reviewers: () => lists(candidates.reviewers()),
  repoClaimCount: () => request.repoClaimCounts(),
  repoReviewCount: () => request.repoReviewCounts(),
  reviewerLoad: () => request.reviewerLoads(),
};
const LIVE_CLAIM = {
  agent: () => texts(live.agents()),
  repo: () => texts(live.repos()),
  number: () => numbers(live.numbers()),
  status: () => texts(live.statuses()),
  areas: () => lists(live.areas()),
  claimedAt: () => numbers(live.claimedAt()),
};
const REQUEST = {
  agent: request.agent,
  claimCount: request.agentClaimCount,
  claimRepos: request.agentClaimRepos,
  skills: request.skills,
  groups: request.groups,
  reviewCount: request.agentReviewCount,
  budgetSpent: request.budgetSpent,
  liveClaims: () => allRows(LiveClaim, LiveClaimColumns, live.count()),
};

// A class of objects whose properties are worked out when they are first read.
function lazyClass(readers) {
  class Lazy {}
  for (const [name, read] of Object.entries(readers)) {
    Object.defineProperty(Lazy.prototype, name, {
      get() {
        const value = read();
        Object.defineProperty(this, name, { value });
        return value;
      },
    });
  }
  return Lazy;
}

// A class of rows: each property reads from its column.
function rowClass(readers) {
  class Row {
    constructor(columns, row) {
      this.columns = columns;
      this.row = row;
    }
  }
  for (const name of Object.keys(readers)) {
    Object.defineProperty(Row.prototype, name, {
      get() {
        return this.columns[name][this.row];
      },
    });
  }
  return Row;
}

// A class of an object that is moved from row to row. A property that was read once is from then on set at each
// move, which costs a fraction of calling a getter for each row.
function movingClass(readers) {
  class Moving {
    constructor() {
      this.row = 0;
      this.names = [];
      this.columns = [];
    }

    moveTo(row) {
      const { names, columns } = this;
      this.row = row;
      for (let i = 0; i < names.length; i++) this[names[i]] = columns[i][row];
    }
  }
  for (const [name, read] of Object.entries(readers)) {
    Object.defineProperty(Moving.prototype, name, {
      get() {
        const column = read();
        this.names.push(name);
        this.columns.push(column);
        Object.defineProperty(this, name, { value: column[this.row], writable: true });
        return this[name];
      },
    });
  }
  return Moving;
}

const IssueColumns = lazyClass(ISSUE);
const Issue = rowClass(ISSUE);
const MovingIssue = movingClass(ISSUE);
const LiveClaimColumns = lazyClass(LIVE_CLAIM);
const LiveClaim = rowClass(LIVE_CLAIM);
const Request = lazyClass(REQUEST);

function allRows(Row, Columns, count) {
  const columns = new Columns();
  return Array.from({ length: count }, (_, row) => new Row(columns, row));
}

const allIssues = () => allRows(Issue, IssueColumns, candidates.count());

class Score {
  constructor(terms) {
    this.value = 0;
    this.end = undefined;
    this.skipped = undefined;
    this.terms = terms;
  }

  /** Adds `amount`, on the word of `rule`. `text` says what the rule saw; a function is called only if asked. */
  add(rule, amount, text) {
    this.value += amount;
    if (this.terms !== undefined && (amount !== 0 || text)) {
      this.terms.push({ rule, amount, text: typeof text === 'function' ? text() : (text ?? '') });
    }
  }

  /** Leaves the issue out; the first reason counts. An agent reads it when there is no work. */
  skip(reason) {
    this.skipped ??= reason;
    this.terms?.push({ rule: 'skip', amount: 0, text: reason });
  }

  /** Says that this holds until `end` only, in milliseconds since 1970. Without it: until a fact changes. */
  validUntil(end) {
    if (this.end === undefined || end < this.end) this.end = end;
  }
}

const NEVER = 253_402_300_799_999n;

function scoreAll(policy, now) {
  const count = candidates.count();
  const values = new Float64Array(count);
  const validUntil = new BigUint64Array(count).fill(NEVER);
  const ends = halves(validUntil);
  let isBounded = false;
  const skipped = [];
  // One object of each for all rows: a policy must not keep them, since scores do not depend on other issues.
  const issue = new MovingIssue();
  const score = new Score();
  for (let row = 0; row < count; row++) {
    issue.moveTo(row);
    score.value = 0;
    score.end = score.skipped = undefined;
    policy.score(issue, now, score);
    values[row] = score.value;
    if (score.skipped !== undefined) skipped.push({ row, reason: score.skipped });
    if (score.end !== undefined) {
      ends[2 * row] = score.end;
      ends[2 * row + 1] = score.end / HALF;
      isBounded = true;
    }
  }
  return { values, validUntil: isBounded ? validUntil : [], skipped };
}

function explainAll(policy, now) {
  return allIssues().map((issue) => {
    const terms = [];
    policy.score(issue, now, new Score(terms));
    return terms;
  });
}

function chooseFrom(policy, now) {
  if (!policy.choose) return { order: [], skipped: [] };
  const asked = new Request();
  asked.now = now;
  asked.retryAfter = (ms) => request.retryAfter(BigInt(Math.round(ms)));
  const order = [];
  const skipped = [];
  const choice = {
    offer: (issue) => order.push(issue.row),
    skip: (issue, reason) => skipped.push({ row: issue.row, reason }),
  };
  policy.choose(asked, allIssues(), choice);
  return { order, skipped };
}

// An error of the policy's own code, told to who runs it, before it stops the call.
function telling(call) {
  try {
    return call();
  } catch (error) {
    const place = /([\w.-]+\.js):(\d+)/.exec(error?.stack ?? '');
    log.write('error', `${error}${place ? ` (${place[1]}, line ${place[2]})` : ''}`);
    throw error;
  }
}

/**
 * Makes the component's `ranker` of an object with
 * - `schema`: a JSON Schema of the settings, to which the server holds them (optional; without it, it takes any);
 * - `configure(settings)`: takes them, and throws what cannot work (optional);
 * - `score(issue, now, score)`: scores one issue from its own facts; the same code explains;
 * - `choose(request, issues, choice)`: has the last word when an agent asks (optional).
 */
export function ranker(policy) {
  return {
    settingsSchema: () => JSON.stringify(policy.schema ?? { type: 'object' }),
    configure(text) {
      try {
        policy.configure?.(JSON.parse(text));
      } catch (error) {
        // A text that is thrown is the policy's refusal.
        throw error instanceof Error ? error.message : String(error);
      }
    },
    score: (now) => telling(() => scoreAll(policy, Number(now))),
    choose: (now) => telling(() => chooseFrom(policy, Number(now))),
    explain: (now) => telling(() => explainAll(policy, Number(now))),
  };
}
