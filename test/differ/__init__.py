"""A differential tester: the same programs of protocol messages go to PostgreSQL itself and through
the proxy, and every answer and what is left behind must be the same.

    program.py   a program: steps of messages, and their text form
    grammar.py   the tables that programs are made from
    world.py     the servers, the schema, and how both are put back after a program
    relay.py     between proxy and replica: cuts, errors, absence, at a chosen message
    run.py       plays a program on one side and writes down what came
    compare.py   what counts as the same, and the first difference of two transcripts
    shrink.py    a failing program in a few messages
    hunt.py      all of it together; __main__.py is the command
"""
