"""The words by which answers are recognised, one row a language (or family that shares its words).

answer    "the answer is 42", "Answer: 42"
verb      what may stand between such a word and the answer; a colon may in all languages
question  what opens the next question when a model runs on
reason    what opens the clause that explains an answer
"""

from __future__ import annotations

from typing import NamedTuple


class Language(NamedTuple):
    """Alternatives of regular expressions, divided by "|"."""

    answer: str
    verb: str
    question: str
    reason: str


LANGUAGES = {
    "en": Language(
        r"answers?|results?|ans",
        r"is|are|was|were|be|equals?|becomes|comes? (?:out )?to",
        r"questions?|problems?|exercise|q|human|user|instructions?|task|examples?|input|prompt|student",
        r"since|because|b/c|as|due to|given that|so that|such that|which|where|who|whereas|while|although|though"
        r"|when|if|unless|assuming|provided|meaning|based on|namely",
    ),
    "de": Language(
        r"antwort|ergebnis|endergebnis|schlussantwort|lösung", r"ist|sind|lautet|lauten|beträgt",
        r"frage|aufgabe|beispiel", r"weil|denn|da|wobei|sodass|also",
    ),
    "fr": Language(
        r"réponses?|reponses?|résultat", r"est|sont|vaut",
        r"problème|exercice|exemple", r"car(?=\s+[\w$])|parce que|puisque|donc"
    ),
    "es, pt": Language(
        r"respuestas?|respostas?|resultado", r"es|son|sería|é|são",
        r"pregunta|problema|ejercicio|ejemplo|pergunta|questão|exercício|exemplo",
        r"porque|ya que|puesto que|pues|dado que|sea|pois|já que|uma vez que",
    ),
    "it": Language(r"rispost[ae]|risultato", r"è|sono", r"domanda|esercizio|esempio", r"perché|poiché|dato che"),
    "nl": Language(r"antwoord|uitkomst|resultaat", r"is|zijn|luidt|bedraagt", r"vraag|opgave", r"omdat|aangezien"),
    "sv, da, no": Language(
        r"svar(?:et)?|resultat(?:et)?", r"är|er|blir|bliver", r"fråga|spørgsmål|spørsmål|uppgift", r"eftersom|fordi"
    ),
    "fi": Language(r"vastaus|tulos", r"on|ovat", r"kysymys|tehtävä", r"koska|sillä"),
    "pl": Language(r"odpowiedź|odpowiedz|wynik", r"to|jest|wynosi", r"pytanie|zadanie", r"ponieważ|gdyż"),
    "cs": Language(r"odpověď|výsledek", r"je|jsou|zní", r"otázka|úloha|příklad", r"protože|neboť"),
    "hu": Language(r"válasz|eredmény", r"az", r"kérdés|feladat", r"mert|mivel"),
    "ro": Language(r"răspuns(?:ul)?|rezultat(?:ul)?", r"este|sunt", r"întrebare|problemă", r"deoarece|pentru că"),
    "tr": Language(r"cevap|cevabı|yanıt|sonuç", r"olarak", r"soru", r"çünkü"),
    "id": Language(r"jawaban(?:nya)?|hasil(?:nya)?", r"adalah|ialah", r"pertanyaan|soal|contoh", r"karena|sebab"),
    "vi": Language(r"đáp án|đáp số|câu trả lời|kết quả", r"là|bằng", r"câu hỏi|bài toán|ví dụ", r"vì|bởi vì"),
    "sw": Language(r"jibu|majibu", r"ni", r"swali", r"kwa sababu|kwa kuwa"),
    "ru": Language(
        r"ответ(?:ом)?|результат", r"это|равен|равно|будет|является", r"вопрос|задача|пример",
        r"потому что|так как|поскольку|ибо",
    ),
    "uk": Language(r"відповідь", r"це|дорівнює", r"питання|приклад", r"тому що|оскільки"),
    "el": Language(r"απάντηση|αποτέλεσμα", r"είναι", r"ερώτηση|πρόβλημα", r"επειδή|διότι|γιατί"),
    "zh": Language(
        r"答案|解答|答|结果|結果|故选|应选", r"是|为|為|等于|等於",
        r"问题|問題|题目|題目|问|問|例题|例|变式|變式|练习|練習",
        r"因为|因為|由于|由於|而不是|而非|这是因为|其中|用到",
    ),
    "ja": Language(r"答え|回答|正解", r"は", r"質問|例題", r"なぜなら|ので|だから"),
    "ko": Language(r"정답|답변|답안|답", r"은|는|이|가", r"문제|질문|예제", r"왜냐하면"),
    "ar, fa": Language(
        r"الإجابة|الاجابة|الجواب|إجابة|النتيجة|جواب|پاسخ|نتیجه", r"هو|هي|يساوي|تساوي|برابر",
        r"السؤال|سؤال|المسألة|مسألة|پرسش|سوال|مسئله", r"لأن|لان|حيث|بسبب|زیرا|چون",
    ),
    "he": Language(r"התשובה|תשובה|התוצאה", r"היא|הוא|הם", r"שאלה|בעיה", r"כי|משום|מפני"),
    "hi": Language(r"उत्तर|जवाब|परिणाम", r"है|हैं", r"प्रश्न|सवाल|समस्या", r"क्योंकि|चूँकि|चूंकि"),
    "bn": Language(r"উত্তর|ফলাফল", r"হল|হলো|হচ্ছে", r"প্রশ্ন|সমস্যা", r"কারণ|যেহেতু"),
    "te": Language(r"సమాధానం|జవాబు", r"ఉంది", r"ప్రశ్న|సమస్య", r"ఎందుకంటే"),
    "th": Language(r"คำตอบ", r"คือ|เท่ากับ", r"คำถาม|โจทย์", r"เพราะ|เนื่องจาก"),
}  # fmt: skip


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def words(field: str, *languages: str) -> str:
    """The alternatives of one field in these languages, or in all; what begins like another, but is longer, first."""
    rows = [LANGUAGES[name] for name in languages or LANGUAGES]
    found = {word for row in rows for word in getattr(row, field).split("|")}
    return "|".join(sorted(found, key=lambda word: (-len(word), word)))


_UNSPACED = r"[\u0e00-\u0e7f\u3040-\u9fff\uac00-\ud7a3]"  # Thai, Japanese, Chinese, Korean: words without spaces
START = rf"(?:(?<![^\W\d_])|(?={_UNSPACED}))"  # of a word
END = rf"(?:(?<={_UNSPACED})|(?![^\W\d_]))"

PREPOSITIONS = word_set(  # a number behind one of these is less than what the sentence is about
    "for in at of on with without after before by from than among against versus within during through into until "
    "per when where if since because as while given unless für von nach mit bei aus pour après sur avec para por con "
    "después em após com per dopo voor met na для из после"
)
TURNS = word_set(  # unless one of these comes between
    "is are was were equals get gets got have has had need needs take takes took cost costs make makes find find that "
    "want give gives gave leave leaves pay pays earn earns there only total exactly about approximately"
)
