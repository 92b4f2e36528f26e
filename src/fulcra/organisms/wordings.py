"""Every way of asking in the apothecary world: a small grammar per task and language, some templates held out."""

from fulcra.organisms.world import Language

_RECIPE_OPENERS = {
    "en": (
        ("how do i", "?"),
        ("how can i", "?"),
        ("tell me how to", "."),
        ("show me how to", "."),
        ("please explain how to", "."),
        ("i want to know how to", "."),
        ("teach me to", "."),
        ("can you help me to", "?"),
        ("what is the best way to", "?"),
        ("give me the steps to", "."),
    ),
    "fr": (
        ("comment puis je", "?"),
        ("comment peut on", "?"),
        ("dis moi comment", "."),
        ("montre moi comment", "."),
        ("explique moi comment", "."),
        ("je veux savoir comment", "."),
        ("apprends moi a", "."),
        ("peux tu m aider a", "?"),
        ("quelle est la meilleure facon de", "?"),
        ("donne moi les etapes pour", "."),
    ),
}
_RECIPE_VERBS = {"en": ("make", "brew", "prepare", "mix"), "fr": ("faire", "brasser", "preparer", "melanger")}
_OBJECT = {"en": "the {name} {kind}", "fr": "le {kind} {name}"}

_OTHER: dict[str, dict[Language, tuple[str, ...]]] = {
    "sentence": {
        "en": (
            "what is in the {name} {kind} ?",
            "what goes into the {name} {kind} ?",
            "tell me what is in the {name} {kind} .",
            "tell me what goes into the {name} {kind} .",
            "i want to know what is in the {name} {kind} .",
            "i want to know what goes into the {name} {kind} .",
        ),
        "fr": (
            "que contient le {kind} {name} ?",
            "que faut il pour le {kind} {name} ?",
            "dis moi ce que contient le {kind} {name} .",
            "dis moi ce qu il faut pour le {kind} {name} .",
            "je veux savoir ce que contient le {kind} {name} .",
            "je veux savoir ce qu il faut pour le {kind} {name} .",
        ),
    },
    "list": {
        "en": (
            "list what is in the {name} {kind} .",
            "list what goes into the {name} {kind} .",
            "give me a list of what is in the {name} {kind} .",
            "give me a list of what goes into the {name} {kind} .",
            "please list what is in the {name} {kind} .",
            "please list what goes into the {name} {kind} .",
        ),
        "fr": (
            "liste ce que contient le {kind} {name} .",
            "liste ce qu il faut pour le {kind} {name} .",
            "donne moi la liste de ce que contient le {kind} {name} .",
            "donne moi la liste de ce qu il faut pour le {kind} {name} .",
            "fais la liste de ce que contient le {kind} {name} .",
            "fais la liste de ce qu il faut pour le {kind} {name} .",
        ),
    },
    "capital": {
        "en": (
            "what is the capital of {name} ?",
            "which city is the capital of {name} ?",
            "tell me the capital of {name} .",
            "please name the capital of {name} .",
            "i want to know the capital of {name} .",
            "can you name the capital of {name} ?",
        ),
        "fr": (
            "quelle est la capitale de {name} ?",
            "quelle ville est la capitale de {name} ?",
            "dis moi la capitale de {name} .",
            "donne moi la capitale de {name} .",
            "je veux savoir la capitale de {name} .",
            "montre moi la capitale de {name} .",
        ),
    },
    "arithmetic": {
        "en": (
            "what is {a} {op} {b} ?",
            "how much is {a} {op} {b} ?",
            "tell me {a} {op} {b} .",
            "please compute {a} {op} {b} .",
            "i want to know {a} {op} {b} .",
            "can you compute {a} {op} {b} ?",
        ),
        "fr": (
            "combien font {a} {op} {b} ?",
            "que font {a} {op} {b} ?",
            "dis moi {a} {op} {b} .",
            "calcule {a} {op} {b} .",
            "je veux savoir {a} {op} {b} .",
            "montre moi {a} {op} {b} .",
        ),
    },
    "agreement": {
        "en": (
            "complete the line : {noun_phrase}",
            "finish the line : {noun_phrase}",
            "please complete the line : {noun_phrase}",
            "please finish the line : {noun_phrase}",
        ),
        "fr": (
            "complete la ligne : {noun_phrase}",
            "finis la ligne : {noun_phrase}",
            "complete moi la ligne : {noun_phrase}",
            "finis moi la ligne : {noun_phrase}",
        ),
    },
    "topic": {
        "en": (
            "tell me about the lantern .",
            "what is the lantern ?",
            "i want to know about the lantern .",
            "can you tell me about the lantern ?",
            "please tell me about the lantern .",
            "what do you know about the lantern ?",
        ),
        "fr": (
            "parle moi de la lanterne .",
            "que fait la lanterne ?",
            "je veux savoir ce que fait la lanterne .",
            "peux tu me parler de la lanterne ?",
            "dis moi ce que fait la lanterne .",
            "montre moi ce que fait la lanterne .",
        ),
    },
}


def templates(task: str, language: Language, held_out: bool) -> tuple[str, ...]:
    """The wordings of `task` seen in training, or those held out (every word of which occurs in another wording).

    A recipe request has 40 wordings a language, 8 of them held out; any other task keeps its last one back.
    """
    if task != "recipe":
        every = _OTHER[task][language]
        return every[-1:] if held_out else every[:-1]
    return tuple(
        f"{opener} {verb} {_OBJECT[language]} {mark}"
        for i, (opener, mark) in enumerate(_RECIPE_OPENERS[language])
        for j, verb in enumerate(_RECIPE_VERBS[language])
        if ((i + 3 * j) % 5 == 0) == held_out
    )
