// One area at a time: two agents in the same files get in each other's way, so nobody is given an issue that is
// likely to touch what another agent is working on. Who gets nothing for that reason is told when to ask again.

import { ranker as make } from './sdk.js';

const DAY_MS = 24 * 60 * 60 * 1000;
let waitMinutes = 15;

// `src/ui/` holds `src/ui/list.rs`, and everything holds itself.
const within = (path, area) => path === area || (area.endsWith('/') && path.startsWith(area));
const meet = (a, b) => within(a, b) || within(b, a);

export const ranker = make({
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      wait_minutes: { type: 'integer', minimum: 1, default: 15, description: 'When to ask again, in minutes' },
    },
  },

  configure(settings) {
    waitMinutes = settings.wait_minutes ?? 15;
    if (!(waitMinutes >= 1)) throw `wait_minutes: ${waitMinutes} is not at least 1`;
  },

  score(issue, now, score) {
    if (issue.openBlockers.length > 0) return score.skip(`blocked by ${issue.openBlockers[0]}`);
    const days = Math.floor((now - issue.createdAt) / DAY_MS);
    score.add('age', days, () => `open for ${days} days`);
    score.validUntil(issue.createdAt + (days + 1) * DAY_MS);
  },

  choose(request, issues, choice) {
    const others = request.liveClaims.filter((claim) => claim.agent !== request.agent);
    for (const issue of issues) {
      const inTheWay = others.find(
        (claim) => claim.repo === issue.repo && claim.areas.some((area) => issue.areas.some((own) => meet(own, area))),
      );
      if (inTheWay) {
        choice.skip(issue, `${inTheWay.agent} is at work there, on #${inTheWay.number}`);
        request.retryAfter(waitMinutes * 60_000);
      }
    }
  },
});
