"""The word lists behind the sandbox's two skills: telling a mood and translating a few words."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


GOOD = _words("""
    amazing awesome beautiful best better brilliant cheerful clear delicious delighted easy
    enjoy enjoyed excellent fantastic fast friendly fun glad good great happy helpful impressed
    like liked love loved lovely nice perfect pleasant pleased quick recommend reliable satisfied
    smooth super superb thank thanks wonderful works
""")
BAD = _words("""
    angry annoyed annoying awful bad boring broke broken bug bugs confusing crash crashed
    crashes delayed dirty disappointed disappointing error errors expensive fail failed fails
    frustrated frustrating hate hated horrible late lost poor problem problems refund rude sad
    slow terrible ugly unhappy unreliable upset useless waste worse worst wrong
""")
NEGATIONS = _words("""
    not no never hardly isn't wasn't don't didn't doesn't can't won't
""")

LANGUAGES = {
    "german": "German",
    "deutsch": "German",
    "de": "German",
    "french": "French",
    "français": "French",
    "fr": "French",
    "spanish": "Spanish",
    "español": "Spanish",
    "es": "Spanish",
}

_TABLE = """
a|ein|un|un
and|und|et|y
are|sind|sont|son
bad|schlecht|mauvais|malo
big|groß|grand|grande
book|Buch|livre|libro
bread|Brot|pain|pan
but|aber|mais|pero
cat|Katze|chat|gato
city|Stadt|ville|ciudad
coffee|Kaffee|café|café
cold|kalt|froid|frío
come|kommen|venir|venir
day|Tag|jour|día
dog|Hund|chien|perro
door|Tür|porte|puerta
evening|Abend|soir|tarde
family|Familie|famille|familia
friend|Freund|ami|amigo
friends|Freunde|amis|amigos
from|von|de|de
good|gut|bon|bueno
goodbye|auf Wiedersehen|au revoir|adiós
great|großartig|super|genial
happy|glücklich|heureux|feliz
he|er|il|él
hello|hallo|bonjour|hola
help|Hilfe|aide|ayuda
here|hier|ici|aquí
house|Haus|maison|casa
how|wie|comment|cómo
i|ich|je|yo
in|in|dans|en
is|ist|est|es
large|groß|grand|grande
love|Liebe|amour|amor
meeting|Treffen|réunion|reunión
milk|Milch|lait|leche
morning|Morgen|matin|mañana
my|mein|mon|mi
name|Name|nom|nombre
new|neu|nouveau|nuevo
night|Nacht|nuit|noche
no|nein|non|no
not|nicht|pas|no
now|jetzt|maintenant|ahora
of|von|de|de
old|alt|vieux|viejo
on|auf|sur|en
one|eins|un|uno
or|oder|ou|o
order|Bestellung|commande|pedido
our|unser|notre|nuestro
people|Leute|gens|gente
please|bitte|s'il vous plaît|por favor
question|Frage|question|pregunta
rain|Regen|pluie|lluvia
she|sie|elle|ella
small|klein|petit|pequeño
snow|Schnee|neige|nieve
sorry|Entschuldigung|désolé|perdón
sun|Sonne|soleil|sol
thanks|danke|merci|gracias
the|die|le|el
there|dort|là|allí
they|sie|ils|ellos
this|dies|ce|este
three|drei|trois|tres
time|Zeit|temps|tiempo
to|zu|à|a
today|heute|aujourd'hui|hoy
tomorrow|morgen|demain|mañana
tonight|heute Abend|ce soir|esta noche
train|Zug|train|tren
two|zwei|deux|dos
very|sehr|très|muy
warm|warm|chaud|cálido
water|Wasser|eau|agua
we|wir|nous|nosotros
weather|Wetter|météo|tiempo
week|Woche|semaine|semana
welcome|willkommen|bienvenue|bienvenido
what|was|quoi|qué
when|wann|quand|cuándo
where|wo|où|dónde
who|wer|qui|quién
why|warum|pourquoi|por qué
with|mit|avec|con
work|Arbeit|travail|trabajo
world|Welt|monde|mundo
year|Jahr|an|año
yes|ja|oui|sí
yesterday|gestern|hier|ayer
you|du|vous|tú
your|dein|votre|tu
"""

_rows = [line.split("|") for line in _TABLE.split("\n") if line]
DICTIONARIES = {
    language: {row[0]: row[column] for row in _rows}
    for column, language in enumerate(("German", "French", "Spanish"), start=1)
}
