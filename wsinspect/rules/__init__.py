"""Rules: YAML in, plans out. Nothing here touches a byte of the wire, a clock or a socket.

files ──loader──▶ marked YAML ──schema──▶ RuleSet ──engine──▶ ConnectionRules (a `model.plans.Judge`)
                                   │                              │ conditions, actions/ (one a file)
                                   └──▶ JSON Schema, docs         └──▶ Plan, HandshakePlan
"""
