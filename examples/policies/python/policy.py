"""Rotate repositories fairly: the one with the fewest agents at work comes first, and within it the best issue.

A team's favourite repository may weigh more; what it gets is a larger share, never everything.
"""

import sdk

DAY_MS = 24 * 60 * 60 * 1000


class Ranker(sdk.Ranker):
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "shares": {
                "type": "object",
                "additionalProperties": {"type": "number", "exclusiveMinimum": 0},
                "description": "How many agents a repository may have for each of the others' one",
            }
        },
    }

    def take(self, settings):
        self.shares = settings.get("shares", {})
        for repo, share in self.shares.items():
            if share <= 0:
                raise ValueError(f"shares.{repo}: {share} is not above 0")

    def rate(self, issue, now, score):
        if issue.approval == "edited":
            return score.skip("edited since a maintainer approved it")
        score.add("asked for", issue.reaction_count)
        days = (now - issue.created_at) // DAY_MS
        score.add("age", days * 0.5, lambda: f"open for {days} days")
        score.valid_until(issue.created_at + (days + 1) * DAY_MS)

    def pick(self, request, issues, choice):
        # Sorting keeps the order of the scores within a repository.
        for issue in sorted(issues, key=lambda issue: issue.repo_claim_count / self.shares.get(issue.repo, 1)):
            choice.offer(issue)
