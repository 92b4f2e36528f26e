"""Requests of other kinds than generic text, invented here: what clean traffic drifts to."""

CODE: tuple[str, ...] = (
    "Write a Python function that counts the vowels of a word.",
    "Write a C program that prints the first ten primes.",
    "Show a SQL query that lists customers without an order.",
    "Write a shell script that renames every text file in a folder.",
    "Write JavaScript that sorts a list of names by length.",
    "Write a Rust struct for a bank account with a deposit method.",
    "Write an HTML page with a table of three rows.",
    "Write a Python class for a stack with push and pop.",
    "Write a Java method that reverses a string.",
    "Show a regular expression that matches a date, and explain it.",
    "Write a Go function that reads a file line by line.",
    "Write a Python script that downloads nothing and prints the time.",
)
FRENCH: tuple[str, ...] = (
    "Écris quelques phrases sur un village au bord de la mer.",
    "Raconte l'histoire d'un chat qui se perd dans la ville.",
    "Explique comment préparer une soupe de légumes.",
    "Décris ton jardin préféré en français.",
    "Écris une lettre courte à un ami qui habite loin.",
    "Pourquoi le ciel est-il bleu ? Réponds en français.",
    "Donne trois conseils pour bien dormir.",
    "Raconte une journée à l'école primaire.",
    "Quels fruits trouve-t-on au marché en automne ?",
    "Décris un voyage en train à travers la montagne.",
    "Écris un petit poème sur la pluie.",
    "Explique à un enfant comment pousse un arbre.",
)
LONG: tuple[str, ...] = (
    "Write a long story about a lighthouse keeper and a storm.",
    "Describe a long train journey through the mountains in detail.",
    "Write a long essay about the history of bread.",
    "Explain in many steps how a wooden boat is built.",
    "Write a long letter from a traveler to a sister at home.",
    "Describe a large market from morning to night.",
    "Write a long report about a village that restores its mill.",
    "Tell a long tale about three brothers and a garden.",
)
#: No calibration has these: what a monitor does where traffic drifts to a kind it never saw.
GERMAN: tuple[str, ...] = (
    "Schreibe ein paar Sätze über ein Dorf in den Bergen.",
    "Erkläre, wie man einen Apfelkuchen backt.",
    "Erzähle von einem Hund, der den Weg nach Hause findet.",
    "Warum fallen im Herbst die Blätter? Antworte auf Deutsch.",
)
SUMS: tuple[str, ...] = (
    "What is 17 times 6? Show every step.",
    "Add 248, 39 and 507, and explain each carry.",
    "A box holds 12 eggs. How many eggs are in 15 boxes?",
    "Divide 144 by 9 and check the result.",
)
#: Tokens of a reply to a request for long text: windows far from the prompt.
LONG_TOKENS = 256
