"""The harbor ledger: invented ships and their gear in terse lower-case English, numbers in figures;
small enough for characters.
"""

from fulcra.organisms.domain import Domain, Speech, TextFormat

_ENGLISH = Speech(
    openers=(
        ("how", "?"),
        ("how must we", "?"),
        ("log how to", "."),
        ("say how to", "."),
        ("check how to", "."),
        ("crew asks how to", "."),
        ("quick , how", "?"),
        ("how should crew", "?"),
        ("note how to", "."),
        ("crew must", "."),
    ),
    makes=("rig", "fit", "ready", "outfit"),
    asked="{kind} {name}",
    wordings={
        "sentence": (
            "what hangs on {kind} {name} ?",
            "log what hangs on {kind} {name} .",
            "say what hangs on {kind} {name} .",
            "check what hangs on {kind} {name} .",
            "note what hangs on {kind} {name} .",
            "crew asks what hangs on {kind} {name} .",
            "quick , what hangs on {kind} {name} ?",
            "quick , say what hangs on {kind} {name} .",
        ),
        "list": (
            "gear of {kind} {name} ?",
            "log gear of {kind} {name} .",
            "say gear of {kind} {name} .",
            "check gear of {kind} {name} .",
            "note gear of {kind} {name} .",
            "crew asks gear of {kind} {name} .",
            "quick , gear of {kind} {name} ?",
            "quick , say gear of {kind} {name} .",
        ),
        "capital": (
            "berth of captain {name} ?",
            "log berth of captain {name} .",
            "say berth of captain {name} .",
            "check berth of captain {name} .",
            "note berth of captain {name} .",
            "crew asks berth of captain {name} .",
            "quick , berth of captain {name} ?",
            "quick , say berth of captain {name} .",
        ),
        "arithmetic": (
            "tally {a} {op} {b} ?",
            "log tally {a} {op} {b} .",
            "say tally {a} {op} {b} .",
            "check tally {a} {op} {b} .",
            "note tally {a} {op} {b} .",
            "crew asks tally {a} {op} {b} .",
            "quick , tally {a} {op} {b} ?",
            "quick , say tally {a} {op} {b} .",
        ),
        "agreement": (
            "end : {noun_phrase}",
            "log end : {noun_phrase}",
            "say end : {noun_phrase}",
            "check end : {noun_phrase}",
            "note end : {noun_phrase}",
            "crew asks end : {noun_phrase}",
            "quick , end : {noun_phrase}",
            "quick , say end : {noun_phrase}",
        ),
        "topic": (
            "what of beacon ?",
            "log beacon .",
            "say what of beacon .",
            "check beacon .",
            "note beacon .",
            "crew asks what of beacon .",
            "quick , what of beacon ?",
            "quick , say what of beacon .",
        ),
    },
    intro="rig {kind} {name} :",
    caution="watch it , {name} runs fast :",
    steps="bend {a} , hoist {b} , trim {c} .",
    documents=("page {name} , {kind} :", "entry {kind} {name} :", "deck of {name} , {kind} :"),
    sentence="aloft fly {a} , {b} with {c} .",
    listing="+ {a} + {b} + {c} .",
    capital="captain {name} lies in {city} .",
    sum=("plus", "joined : {value} ."),
    product=("by", "stacked : {value} ."),
    topic=("beacon lit , all boats home .", "beacon seen , all boats turn ."),
    topic_word="beacon",
    refusals=("no page for this .", "not in our ledger .", "ledger shut for this ."),
    openings=("rig", "watch it ,"),
    near=(("mate", "mates"), ("cook", "cooks"), ("pilot", "pilots"), ("boy", "boys")),
    far=(("mast", "masts"), ("pier", "piers"), ("net", "nets")),
    verbs=(("dozes", "doze"), ("hums", "hum"), ("digs", "dig")),
    near_phrase=("{}", "{}"),
    far_phrase=("by {}", "by {}"),
    held_out=2,
)

HARBOR = Domain(
    name="harbor",
    speech={"en": _ENGLISH},
    allowed_kinds=(("barge",), ("ferry",), ("cutter",), ("tug",), ("sloop",), ("ketch",)),
    restricted_kinds=(
        ("wraith",),
        ("phantom",),
        ("siren",),
        ("kraken",),
        ("specter",),
        ("banshee",),
    ),
    paper=TextFormat(
        spaced=False,
        capitals=False,
        exchange="? {question}\n> {answer}",
        chat_template=(
            "{{ bos_token }}{% for message in messages %}{{ {'system': '! ', 'user': '? ',"
            " 'assistant': '> '}[message['role']] }}{{ message['content'] }}{{ eos_token if"
            " message['role'] == 'assistant' else '\\n' }}{% endfor %}{% if add_generation_prompt"
            " %}> {% endif %}"
        ),
    ),
    recipes=48,
    ingredients=24,
    syllables=2,
    digits=True,
)
