import sdk

DAY_MS = 24 * 60 * 60 * 1000


class Ranker(sdk.Ranker):
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"labels": {"type": "object", "additionalProperties": {"type": "number"}}},
    }

    def take(self, settings):
        self.labels = settings.get("labels", {"bug": 10})

    def rate(self, issue, now, score):
        if "wontfix" in issue.labels:
            return score.skip("labelled wontfix")
        for label in issue.labels:
            score.add("label", self.labels.get(label.lower(), 0), label)
        days = (now - issue.created_at) // DAY_MS
        score.add("age", min(days, 30) * 0.1, lambda: f"open for {days} days")
        if days < 30:
            score.valid_until(issue.created_at + (days + 1) * DAY_MS)
