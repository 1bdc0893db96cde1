"""Rules: YAML in, plans out. Nothing here touches a byte of the wire, a clock or a socket.

    files ──loader──▶ marked YAML ──values, rule_reading──▶ RuleSet ──engine──▶ ConnectionRules
                                          │                    │                  a `model.plans.Judge`
                                fields of conditions/,         └─ lanes: compiled once for all
                                actions/ and rules                connections with the same rules left
                                          │
                                          └──▶ schema (JSON Schema), reference (Markdown)

What others use:

    loading.load_rules(paths, allow_python=False) -> RuleSet       raises errors.BadRules: .problems
    RuleSet     .rules (id, place, enabled, explain(), written)  .files  .warnings  .tests  .ids
                .with_enabled(ids, on) -> RuleSet                  rules switched; raises NotFound
                .after(old) -> RuleSet                             after a reload: counts and switches go on
                .hits.acted, .hits.failed                          by id, over all connections, shared
                .explain() -> list[str]
    engine.ConnectionRules(ruleset, requested, conn=, decoder=, shadow=, epoch_ns=)
                .judge_request(now_ns), .judge_response(opened, now_ns) -> HandshakePlan | None
                .opened_fact(opened, decoder)                      before .watch and .opened
                .watch .opened .message .control .take_notices     as `model.plans.Judge` says
                .replace(ruleset)                                  between two messages; .watch, .replaced

A decoder may have an attribute `text_is_json`: True says that the names and texts in its trees of text
messages stand in the payload as JSON has them, so that most messages need no decoding (`lanes`).
"""
