"""Payloads for people and for rules.

    printable hexdump jsontext      shown safely
    registry                        which decoder a connection gets; `describe`
    base limits                     what all decoders do; how much they take on
    jsonpayload jsonrpc             JSON text ─┬ jsonvalue reads
    graphql                                    └ jsonedit  writes, keeping every byte that can stay
    msgpackpayload                  msgpack reads and writes, msgpackedit keeps
    socketiodecoder                 engineio the packets below, socketio and socketiobinary those above
    jsonencoder jsonsplice          JSON written at C speed; the usual edit
    edits brief                     comparing and aligning trees; trees in a line

A codec keeps the payload (`model.Source`), and an edit changes as little of it as makes it say the new tree.
"""
