import { ranker as make } from './sdk.js';

const DAY_MS = 24 * 60 * 60 * 1000;
let labels = {};

export const ranker = make({
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: { labels: { type: 'object', additionalProperties: { type: 'number' } } },
  },

  configure(settings) {
    labels = settings.labels ?? { bug: 10 };
  },

  score(issue, now, score) {
    if (issue.labels.includes('wontfix')) return score.skip('labelled wontfix');
    for (const label of issue.labels) score.add('label', labels[label.toLowerCase()] ?? 0, label);
    const days = Math.floor((now - issue.createdAt) / DAY_MS);
    score.add('age', Math.min(days, 30) * 0.1, () => `open for ${days} days`);
    if (days < 30) score.validUntil(issue.createdAt + (days + 1) * DAY_MS);
  },
});
