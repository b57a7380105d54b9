"""Classes of words that attacks on a model combine, in several languages.

A class says what a word is about, never that it is an attack: "ignore" and "previous" stand in harmless texts too. The
model learns from data what a sequence of classes is worth. The lists are general vocabulary, written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CLASSES", "SEQUENCES"]

_WORDS: Mapping[str, str] = {
    "override": """
        ignore ignores ignoring ignored disregard disregarding disregarded forget forgetting forgot override
        overrides overriding overwrite bypass bypassing bypasses circumvent dismiss neglect discard skip drop
        abandon cancel ignora ignore ignorar ignorer ignorez ignorieren ignoriere ignoriert olvida olvidar
        olvide oublie oubliez oublier vergiss vergesst vergessen missachte missachten dimentica dimenticare
        esqueça esquecer desconsidere negeer vergeet zignoruj ignoruj zapomnij игнорируй игнорируйте
        игнорировать забудь забудьте ігноруй yoksay unut görmezden ignorera glöm ignorér glem unohda ohita
        ignoră uită ignorujte zapomeňte abaikan lupakan bỏ quên αγνόησε ξέχασε تجاهل انس נתעלם התעלם שכח अनदेखा
        भूल
    """,
    "prior": """
        previous previously prior above preceding earlier before foregoing past existing initial initially
        original originally former all any anterior anteriores previas previos previa previo arriba précédent
        précédents précédente précédentes précédemment ci-dessus dessus vorherige vorherigen vorigen bisherigen
        obigen obige oben precedente precedenti sopra todas todos toutes tous alle allen tutte tutti vorige
        eerdere bovenstaande poprzednie wszystkie powyższe предыдущие предыдущих прежние все выше önceki tüm
        yukarıdaki tidigare ovan forrige tidligere kaikki aiemmat sebelumnya semua trước προηγούμενες السابقة
        הקודמות पिछले
    """,
    "instruction": """
        instruction instructions prompt prompts rule rules guideline guidelines directive directives command
        commands order orders constraint constraints restriction restrictions limitation limitations programming
        context preprompt instrucciones instrucción reglas regla órdenes consignes consigne règles règle
        anweisungen anweisung regeln regel befehle vorgaben istruzioni istruzione regole instruções instrução
        regras instructies regels instrukcje polecenia zasady инструкции инструкцию правила указания команды
        talimatları talimat kuralları instruktioner instruktion regler ohjeet instruksi petunjuk lệnh οδηγίες
        التعليمات ההוראות निर्देश
    """,
    "say": """
        say says saying write output outputs print prints echo respond responds reply replies answer answers
        repeat return returns type display generate produce state utter recite read copy paste transcribe spell
        quote di escribe responde repite imprime dis écris réponds répète affiche sag sage schreibe schreib
        antworte wiederhole gib scrivi rispondi ripeti stampa diga escreva repita imprima zeg schrijf herhaal
        powtórz napisz wypisz скажи напиши повтори выведи ответь yaz söyle tekrarla skriv säg upprepa sano
        toista katakan tulis ulangi
    """,
    "reveal": """
        reveal reveals revealing disclose disclosing leak leaking leaked expose exposing divulge share show
        shows tell tells give gives provide provides list dump summarize summarise translate explain describe
        encode decode extract send revela revelar muestra mostrar dime révèle révéler montre donne zeige verrate
        offenbare mostra rivela mostrami mostre revele toon onthul pokaż ujawnij покажи раскрой расскажи göster
        açıkla visa avslöja näytä tunjukkan ungkapkan
    """,
    "secret": """
        password passwords passcode passphrase secret secrets credential credentials confidential hidden private
        internal classified contraseña clave secreto secreta secrète passwort kennwort geheim geheimnis geheime
        segreto senha segredo wachtwoord hasło sekret пароль секрет секретный şifre parola gizli lösenord hemlig
        salasana sandi rahasia
    """,
    "code": """
        code codes key keys token tokens pin schlüssel ключ clé llave chiave chave
    """,
    "access": """
        access granted grant grants granting admit authorize authorise authorized authorised unlock permission
        zugang acceso accès accesso acesso toegang dostęp доступ erişim
    """,
    "system": """
        system developer admin administrator root superuser sudo backend database server sistema système
        systemprompt systeem systemu системный системные sistem utvecklare järjestelmä
    """,
    "model": """
        ai assistant assistants chatbot gpt chatgpt gpt3 gpt4 llm bot openai anthropic claude model models
        gemini bard llama robot agent asistente assistente assistent modelo modèle modell modello модель
        ассистент
    """,
    "persona": """
        pretend pretending act acting roleplay role-play role simulate simulates simulation simulated imagine
        become becomes becoming impersonate persona character play playing hypothetical fictional fiction
        scenario finge actúa imagina simula prétends imagine agis tue stell spiele rolle fingi agisci recita
        finja udawaj притворись представь
    """,
    "you": """
        you your yours yourself u ur youre you're you'll you've tu tus tú usted su vous votre vos tes du dein
        deine deinen deiner ihr ihre te tuo tue seu sua seus suas jij je jouw uw twoje ты твои вы ваши sen senin
        ditt dina
    """,
    "now": """
        now henceforth instead anymore longer immediately onwards onward forward today ahora maintenant
        désormais jetzt ab stattdessen adesso ora agora nu teraz теперь сейчас şimdi
    """,
    "new": """
        new newly updated latest actual real true different following next nuevo nueva nuevas nouvelle nouvelles
        neue
    """,
    "exact": """
        only exactly just verbatim literally precisely word letter character nothing else without explanation
        first last start begin beginning end solo sólo exactamente seulement uniquement exactement nur genau
        wörtlich esattamente somente apenas alleen tylko только точно sadece
    """,
    "deny": """
        cannot can't cant unable refuse refuses refused refusing never don't dont not no won't wont shouldn't
        decline declined sorry apologize apologies warn warning warnings disclaimer disclaimers
    """,
    "free": """
        unrestricted unfiltered uncensored freely limitless unlimited amoral unethical immoral jailbreak
        jailbroken jailbreaking dan anything free liberated uncensor unlocked enabled disabled disable
        mode evil unbound boundless
    """,
    "ethics": """
        ethical ethics moral morals morality legal illegal law laws policy policies safety filter filters
        content moderation censorship harmful inappropriate offensive standards terms
    """,
    "must": """
        must shall always should required mandatory obey comply complies follow follows following need needs
        have
    """,
    "request": """
        user request requests question questions message messages input inputs query response responses task
        text
    """,
}

CLASSES: tuple[tuple[str, tuple[str, ...]], ...] = tuple((name, tuple(words.split())) for name, words in _WORDS.items())
"""The classes and their words in lower case. A word that stands in two has the first one."""


SEQUENCES: tuple[str, ...] = (
    # Set the instructions aside.
    "override instruction|system",
    "override prior|new|now|you instruction|system|request|ethics",
    "override you prior",
    # Say what is confidential.
    "say|reveal secret",
    "say|reveal you|prior|system|exact instruction|secret|system",
    "say|reveal instruction|secret|system|request prior",
    "say|reveal prior request|exact|say",
    "you system|prior instruction",
    "you secret",
    "secret|access code",
    "say|reveal access",
)
"""Sequences of classes that attacks have in common; `|` stands between the classes of one place.

They share one weight: the training sets hold few attacks that ask for what is confidential, so a weight of their own
would say little about them.
"""
