"""A bank's assistant on a bad day: one of two deployments is down, and a user asks too much; run it offline.

The breaker takes the deployment that is down out of turn, the other one answers, and a budget holds the user back.

    python examples/traffic_control.py
"""

from __future__ import annotations

import llmops_sdk as llmops

DOWN = {"failures": {"rate": 1.0, "errors": ["server"]}}


def ask(user: str, question: str) -> str:
    """Return the answer and who served it, or why there is none."""
    with llmops.context(user_id=user):
        try:
            answer = llmops.chat(question, model="assistant", max_tokens=20)
        except llmops.BudgetExceededError as error:
            return f"{error.key} has {error.left:.0f} of {error.limit:.0f} tokens left today"
        return f"{answer.deployment} answers after {len(answer.attempts)} attempt(s)"


def main() -> None:
    """Ask as two users, and show what traffic control did."""
    llmops.configure(
        models={
            "east": {"model": "offline/echo", "options": DOWN},
            "west": {"model": "offline/echo"},
            "assistant": {"deployments": ["east", "west"], "balance": "weighted", "retry": {"base": 0.01}},
        },
        breaker={"failures": 2, "open_seconds": 30},
        budgets=[{"name": "each user", "limit_tokens": 100, "per": "user", "window": "day"}],
    )
    for user in ["ada", "ada", "ada", "ada", "ben"]:
        print(f"{user}: {ask(user, 'Where is my card?')}")
    for _ in range(20):
        said = ask("ada", "Where is my card?")
    print(f"ada, after 20 more: {said}")
    print(f"ben: {ask('ben', 'Where is my card?')}")
    llmops.flush()
    llmops.query(
        "SELECT policy, decision, deployment, subject, count(*) AS n FROM traffic GROUP BY ALL ORDER BY ALL"
    ).show()


if __name__ == "__main__":
    main()
