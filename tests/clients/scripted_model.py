"""A model that always does the same: walks one issue through the tools it is offered.

    scripted_model.py PORT_FILE     serves /v1/chat/completions on a free port and writes it down

It reads the claim's id from the answer to its first call, as a model would.
"""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STEPS = [
    {"status": "in_progress"},
    {"status": "pr_submitted", "pr_url": "https://github.com/acme/small/pull/9"},
    {"status": "pr_merged"},
    {"status": "closed"},
]
# A server just started may be asked before its first sync went by.
TRIES_MAX = 5


def text_of(message):
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def next_move(request):
    """A tool to call with its arguments, or a last word."""
    offered = [tool["function"]["name"] for tool in request.get("tools") or []]
    answers = [text_of(message) for message in request["messages"] if message["role"] == "tool"]
    named = lambda suffix: next((name for name in offered if name.endswith(suffix)), None)
    if not offered:
        return "A title", None
    if named("next_work") is None:
        return "FAILED: the tools of the server are not among " + ", ".join(offered), None
    done = [answer for answer in answers if '"ok":true' in answer]
    if not done and len(answers) < TRIES_MAX:
        return named("next_work"), {"agent_id": "scripted"}
    claim = re.search(r'"claim_id":"([0-9a-f-]+)"', done[0] if done else "")
    if claim is None or '"ok":true' not in answers[-1]:
        return "FAILED: " + answers[-1], None
    if len(done) <= len(STEPS):
        step = {"agent_id": "scripted", "claim_id": claim.group(1), **STEPS[len(done) - 1]}
        return named("update_claim_status"), step
    return "The issue is closed.", None


def chunks(move, arguments):
    if arguments is None:
        yield {"role": "assistant", "content": move}, None
        yield {}, "stop"
    else:
        function = {"name": move, "arguments": json.dumps(arguments)}
        call = {"index": 0, "id": "call_" + str(abs(hash(function["arguments"]))), "type": "function"}
        yield {"role": "assistant", "tool_calls": [{**call, "function": function}]}, None
        yield {}, "tool_calls"


class Model(BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for delta, finish in chunks(*next_move(request)):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "scripted", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
with open(sys.argv[1], "w") as file:
    file.write(str(server.server_address[1]))
server.serve_forever()
