import json
from unicodedata import normalize

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True

# How the letters beyond ASCII fold, in decomposed text; blanks are one blank.
FOLDINGS = {
    letter: " " if letter.isspace() else normalize("NFD", letter.casefold())
    for letter in map(chr, range(0x80, 0x110000))
    if letter.isspace() or (letter != letter.casefold() and letter == normalize("NFD", letter))
}
# pg_trgm knows letters and digits only. Upper case, which no folded text has, stands for the rest.
BLANKS = " \t\n\v\f\r\x1c\x1d\x1e\x1f"
SIGNS = "\x01!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\x7f"
CODES = "ZABCDEFGHIJKLMNOPRSTUVWXYБГДЖЗЛФЩЮ"
SEPARATOR, BLANK = "Z", "Q"
assert len(SIGNS) == len(CODES)


def quoted(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


async def upgrade(db: BaseDBAsyncClient) -> str:
    return f"""
-- By hand. The text by which searches find: full case folding, NFC, and letters only.
-- Not PARALLEL SAFE, so that no search takes more than one processor.
CREATE FUNCTION search_text(given text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $function$
DECLARE
    folded text := given;
    letter text;
    folding text;
BEGIN
    IF octet_length(given) > length(given) THEN
        folded := lower(normalize(given, NFD) COLLATE "C");
        FOR letter, folding IN
            SELECT known.letter, known.foldings ->> known.letter
            FROM (
                SELECT DISTINCT string_to_table(folded, NULL) AS letter,
                    {quoted(json.dumps(FOLDINGS))}::jsonb AS foldings
            ) AS known
            WHERE known.foldings ? known.letter
        LOOP
            folded := replace(folded, letter, folding);
        END LOOP;
        folded := normalize(folded, NFC);
    END IF;
    RETURN translate(
        lower(folded COLLATE "C"),
        {quoted(BLANKS + SIGNS)},
        '{BLANK * len(BLANKS)}{CODES}'
    );
END $function$;

-- Its pairs of neighbours, for searches of one or two letters, which have no trigram.
-- The cost keeps the planner from computing them row by row.
CREATE FUNCTION search_pairs(folded text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT COST 1000 AS $function$
BEGIN
    RETURN array_to_tsvector(array_remove(string_to_array(
        regexp_replace(folded, '(..)', '\\1 ', 'g') || ' ' ||
        regexp_replace(substr(folded, 2) || '{SEPARATOR}', '(..)', '\\1 ', 'g'), ' '
    ), ''));
END $function$;

DROP INDEX ix_courses_search;
ALTER TABLE courses ADD COLUMN search_text text GENERATED ALWAYS AS
    (search_text(title || E'\\x01' || description)) STORED;
-- Without fastupdate: searches would read what writes left for VACUUM to sort in.
CREATE INDEX ix_courses_search ON courses
    USING gin (search_text gin_trgm_ops) WITH (fastupdate = off);
CREATE INDEX ix_courses_search_pairs ON courses
    USING gin (search_pairs(search_text)) WITH (fastupdate = off);
-- Without statistics the planner takes few to match, and always uses the index.
ALTER INDEX ix_courses_search_pairs ALTER COLUMN 1 SET STATISTICS 0;
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
DROP INDEX ix_courses_search_pairs;
DROP INDEX ix_courses_search;
ALTER TABLE courses DROP COLUMN search_text;
DROP FUNCTION search_pairs;
DROP FUNCTION search_text;
CREATE INDEX ix_courses_search ON courses USING gin (
    upper(CAST(title AS VARCHAR)) gin_trgm_ops, upper(CAST(description AS VARCHAR)) gin_trgm_ops
) WITH (fastupdate = off);
"""


MODELS_STATE = (
    "eJztXW1z4jgS/isqaq+SqWJTCTOTzDF7W0USZobbDLkLZF+zZYQtwBcjM5Ydhpub/e3XLb"
    "8bG2wgWYf1l1Sw1FL7aVnqbrVaX2pTU2OGOGo5mm63uW0tak3ypcbplME/KaV1UqOzWViG"
    "D2w6NGR1ivUUwxzLakNhW1S1oWBEDcHgkcaEaukzWzc5Vr/mjECFOjEtMlBNh9sDYrGRI6"
    "A6MUfEhPJ7nWvEnlCbqMATUQ1TMGKbY2ZPmHWE/WimCh3pfLybJu/4HR9AE6Y1ILoglDiC"
    "WYhHHf5XDapPmSabmUNt6IzA6+qczKlwO2Ka27k5YxaFVprfyQrfD8gIHkMXd1w1p1MKPB"
    "g6Z28Jh8aa8HdoagvZDNQfQx86PyItAm8GvyyvbQF8EnVC+ZhhJxabmg/Ig2XOJRYO1z85"
    "TPFfBhD57Xd4DC/MPjOBP7/URjozNPl/jdpIpGs1rMQ+zywmBMhG+HT+MNA/K4FoFc7mTE"
    "hCezGTxTVJDcLGH4eA62W7d1Enuib/eVH7WifxbhFdOUQ26T+gzugei0FWebjAcbgFGx55"
    "Jh9QnsoItjm7VyQvsc8NWIAi+VzxW7297Vy+kzVxrA8V1TScKQ9rzxb2xORBdcfRtSOkwb"
    "Ix4zgImRb5BrljGN736j9yRw08sC2HBcNFCx9obEQdA7/k2ncjh8s3I9iT4tg6zA8woGfU"
    "PsInZ997fEZoFKV73Vd67b6i1JZmAeQn8RV7j1QQAaCpcxsl8eWr226Ijnxaww4uPrRuDl"
    "+evpB4mMIeW7JQYlf7KgmpTZVQ+CHkruzjkF8CZDZ85+mwuxQJ2DWP5Mj/ZxP4/Qch/uHE"
    "6YPpwxUDuGvOD188DrT9zsd2r9/6+C9sfirEJ0Mi1Oq3saQhny4STw9dSZgw+7vrQtAI+a"
    "nT/0DwJ/n1uttOyiuo1/8VP1dYT2xT4eZcoVoUDf+x/0h+2YFAg+8yLtSLCbUyBBpQJIQK"
    "ED2pGHfzndSm9LNiMD62J/Dz9NUK4f7YupGfzumrhMC6XklDFn2NAWw6NnzvLB3hNnemEu"
    "UO8ES5ypbQjpCXGe7aJYzPJtFgcb7jN+13t732ZdNf4ZNqRx5BnJzmEMRJ8ssJBYFFX5Mj"
    "3V0ICwx0l2Aj4L21oJzDvPH6dQ54oVYmvrIsBWCl2KIcpdliaS4Z2NusvSGeNrVALy0yYk"
    "OK/Ruyr08aOYYs1MocsrIsMWQ1DbXXQrNCSLJ/IO9++bMYvKawU6eFbJDjVPuH80njTZ7l"
    "rfEme33DsjjU0n5fRrnD7XSQg/oJfHX36VMpFidbgDrGjr9tnLw6e/Xm5emrN1BFMhc8OV"
    "sBc6fbTyCoMZvqRsp08M/edTcdxAhJ0sbRVZv8jxi6yANnyYbrCtgQi5h14w/Kw4+tn5Pj"
    "9eLq+jy51GED54A82vWj+4iZiQ+GVL2fU0tTlkrMhplVd7lo2pgmn1BOxxJIfGN8P89bd2"
    "E6lmC1FD+eV1Jf5cNTZR2Rz4PXIm71ZUdcUCL9afoUWFUcy/B8aiPTYvqYE2/tqRMBWhPT"
    "CBVkrD8w/pZQTpyZYVINPWFIjYQ6J4MHaukUhDqoQx0taNum4l42bk8YwR+uh29K7xnQ2X"
    "UCU4NuwH9Yx2JUW2ziMFOBEka8UsBj5OG51m0WNr3OcbU1EzBtP/hiL8YL6cAHcHvZJoea"
    "PhrpKnyii2UGwzJsdgt2w4bWwhdWrZP8UNq6bbDCbAVU6azIYuw0J1zhAFYKsRHSZfMSa/"
    "sF+elD+6ZNYg9Jp0dggiXd26uryjVZJtdkMMxyW0s+QZkdK2Uy8KOcLeHch68oS0WKke0F"
    "2qtcwO2f+6v1o8ADfHXdfe9XTypNCehja8QmjsR4C2UWQu28/b7T7bZvmuScjXUOPN1xUN"
    "bbNx/bl51Wv90kYNMwa8o0HZi9463LH1vdC3Q4trQHfPmSeBwDNa7IrBQj2j/Lt3H8Ko/p"
    "i9WypyZZmDB+Y2pTkQ2qOGW1UVXSjSpnpm0o4DhlJeCSCjiu1xfRnpOE1UZCinMlDehllN"
    "+5noYf2GJJm0ig6vlI+l4zzxLX8GnIokXngT23PLQAAHhtZksIgIuIHZjuuQphZ9wyDWPK"
    "kIUl3M894nc/3DCDZqjKHuTtoKHy6GxbIx+bCnyn1XY4dVB4P7pN7StSrtNvS6BuZSP7BN"
    "Hj+4v7pk2NWqbT2C2ur/ccKzbWzOk//mDOCfC18JzFMkSTktCyQ28uBllaKR7mgrTrPb2Z"
    "vq9y2qrrPWJ/OUt1hS/NH745txKD+n/uVuKuLNYdbCuWZHMroiukzFVxTSJ7qkqoLnk2uo"
    "TtaFD/QJCZQVWGe1HUm3reEt0WJIJ5nXDTljtRKvRd98LGoP6QytjxtO2ynbdfcGvL619h"
    "U6rLke9N5+u3JJxPSgRPJdaQErZSz9qjiBHUSUCRsvMVbczts9jGUpRPr7G1+3J+n3US6X"
    "HdxtK2zK3jahUr1R5OefZwlr6qvF7TJcIyO7g3dJ2+bBznWPehVubCL8viftPEl1fEr5Yg"
    "rRxrJXWsVa7xPRdw5RrfcwHHFLm8CkmMaJd6STmcPrv1iatBqN+W/vAwZvB5wrrWJR4bVj"
    "F3+EWrd9G6bK/yhj+NqZvpm0tWqeczegv56H7COEo88CwMMDonVBDBGCd4iAsjMMnYfOsG"
    "Xco20d8mfwpn6rrkDENSimWjd6ctb+Hfw0YK+Ib86rtxDT2GG++J482zzZ/VW0T6OBPjBO"
    "E+eeH+3mi8fHnWOH55+ub1q7Oz12+OA9SXi1bBf955jxKILeLLRwA8Q7Ig/lGqCvxC4JfE"
    "URrbLExZOpKbidnrhrtnHN3CzJfaQ+j/Ze6mjLvEHgg38riJwf3m8D9MtbEYp/Sho94zmz"
    "gwNiwyuGeLQXpqj+2bTFkmfosoS3Ndsye13/OuHJVH7ck9aq6E8q/WQf19msZ2dkBsAsbA"
    "pIjyExJUeKbgOTKtaZrXItvRG1LsoYd39yHIw4XNUnSZzPEa1K+Ga8pwhWWxyFj1qu/hQH"
    "2U4yWVl6vyclVerjV2yg9sZre4mEtdfMlKiZTWV9ko91BPobJi3ogOTtz6dcypN2TuwWNC"
    "xwDiW6JzwSxbZuFzXVAWVHYTRaGBMUfPlW4TmxlGimNrh23L49OaPmbCDo439z60vm28Pp"
    "X5DGWWQZloTqWGAaYOOs5gnq6TwQi4YdYMmAJSeRraM428ZBQHAlMRchvsfEyUQSbsM9WY"
    "CgaVQaBHjDlhVJ0ckeB13FaACy/8xGJkwYIHmNZQt/HF4OGWp6vXR0tEJa54lHJIrDnRvC"
    "pAwsW5yIoYUpQ3qG/DJXFXqVOyTbnIAC2kMcfJ9lAb2X3WGlj/bCdFb+7Bx26s8AL6VBtp"
    "zyU7I+Epzy8bZ6eB3ow/VqnMvY+tq6s0sxlmSqtQXpUISZVXpVhelZj9Z2opJsu5zqm1yL"
    "AAPYoE6oFhuDd4n3sQBngD3Oedbuvml/SD2ucpkJ//0m+3qpOo+x+NUZJdihs2gheZ9M17"
    "xmsp+n+sfKUFYLk1QdmEqrmjuj0qIqnq5B4g4mS4kAHXgZrNjUWGgpwWyL2LJovGbrtqcr"
    "70MXGgFI82W3UOG08Jc/4806GxfBp7omOPNrvjsPFKZ39ixXHFjn4o8YKLQZyyVIvB46dQ"
    "eQ5LQiwCU2wWfil2udo/H9Xr2ck3smIsiTjbNx2nqpzTq53TkZV1S+90L2zpeQK71j0dH1"
    "ll8k/72KcopxGxZOulwleIcmmkMiTSv1PGnIGwNff0n655CTDZA7MWrnLpXWJjTt3Dz7qd"
    "EWK5eXvS+xwu3NIDLf3CXJN+aiQmE3h5UOiOyMDT7GSqTVl3PmGuj9ugwnbbFISqKmDidi"
    "nuOLQlmniHDXuAJxrxAHPzdE7ZdMgwM6hkzTD5OHopDjdtHcQoyACJVekIFwO/H2h4E2Xa"
    "4yOfTutLV/GosrXZsFk/DWP4JJ6DMaFj4/1D+TT7gBkUdDYnXoMZbKSxUEjND7jYkYJfxV"
    "g9eYxV5fHZc/WvsuL+EmKOrsdFBZ2krURdalFHtJaCgo5TVmZ7maXs64IFFKIISWWwrzbY"
    "EaodWOu3XjPPE9K1pnpkQBW106PTVXK3JrGhWyDbW3KPaE9wf9Scbz33fFctzavhFdVXej"
    "Ui58PyeDVM6SlwPQ5oyDPpD+As8/6QfCRbHPosnJFlx5lYSrRrtMM8LHmOgipF73VKI63C"
    "+ct13FCmzU2ZTfx0utlTCSajzb1fP9OZKk8ACsOck7lp3ddzxdNCH1ABb+BO85LuqF3pLY"
    "WB5bCBDMMd4FdGbZtNZ7YYyPPrXgQuvvMB+jfHOr6zbBIpsMpIxxxE2Olw4YXrGnRRJ8K8"
    "43NvVmRcdiMIZ0yTl4JjmAGhBNGX0QVHZIAzJos4Y2XHoMJju/OJrk6gvmxGw/vD77h0se"
    "IF5DNnaOhiAs+nDsy5Q+bfe153mSSWwzlAJ2djWcViM9Nyb10f4tuhMxlBMUD/2sQHKwcR"
    "fuWWblq6mzWTPsD8i4MmnxtSDitFc1Zc1OPe6u734eVRi3bju0gxDpKRf5ADF66DJQdpBO"
    "rcrEmabOYiTcbZ6HTJoc9InRx4sjhIuYaJac6MKXhoZw1PzicfrpAkk7GwzoZ8jXQuR1cR"
    "Ofo02WxFWvX5ijxa6WHf4IYql6vd3eklIUTijXmRLazlSNZaeUNW5Ycvjx/enwbzqqjBtL"
    "l/IfGPcsEotcaFYrj9+lsFcJcN56eO4JZLRJFRHRDs3+VBuz/oEdWYihz1iNL9ubbV8db2"
    "1C5OeMQ1odyhpTGq/Ruvj3JMOtB9llFen1k/IP6T1zxX8V0Guvbv2/Yt5sd3K9zxm9tut9"
    "N93/SNqDveu724aLcvsZJwVBUsOqz3rtW5wkcjMEfw9wXm2b+Sj1REAo3EpCGbayHdeUoG"
    "lx3FO1XKUtTEc9MEc4ZnhAykkCfP6gD9U0oz3f2wkzM619dXsRX1vJO8LPH243kbJCAFAJ"
    "V017u+PEPNLBOX2cKH+qJ01UwPSp3noCngkIySPHcId5ZLJOrsKoBlkmyPTpruDNqY62sJ"
    "2tXb+0naUsVxVDFZkfnc97puIOQkbRXFUWZJR73FBQWdIK3kXGY54zZSWkRJtv0YUlS2Yy"
    "7bkVmWmYJw9t3tAcE+ALzqY3mMS9txe5bhfnERxGNEFerFUfcs49S4v+ypJE61D7g/wYaA"
    "HKuKTIr1udCZ8iXC/QP89UkjB+BQKxNwWVblFvlL6UDCptZmAo5TVppumaUcDekoKOYEaS"
    "Xnssm5JAGG3p3eKSGG4W3f2UGGkWvF14cZ9mxkgcgMYU2iORa2Ep5ldtvCiDo3/STGxblh"
    "8FpYyb8uAYOjvHPIsZDDR+pji4DoKr7nyeN7sCBlt2xFMjufYsNkds8o9qTKZldpnNXdgq"
    "U8J1dlXc97Vq60WdflGcU0XUqsy7SOx/8KpFhX5Ykd9x6/CRUTVGlmVAhDHx4IPNRATEMj"
    "g28a9JsBnicQ5IFZ+miRnlR949bwaEaYNwZTzrhXCXpR1e55juDEmaYLfF0NzzOAIoVKmI"
    "nqFLFMI+/Bs1h4N/I4N0FoyHSOkG4JsgLvIglW5VC5qxlsZN/VDg9jfbxoNtETVSdnL/xo"
    "+PQa5I8/yME3jb8duD+rAPBSKYg4DooGgUdp9u6o4qNsIsW/zgJQLxHuYeD9oyCO82g60O"
    "sjPn3aMmNda11+7HSbhGpTHVaeXv/2st3tN4kIz1aXIG6zsoT22xLy1ZgNJJwgrbyyZZNz"
    "Aa/sUkbSLfNt7F820kdNtdECC0Sd1FKMLa9kpblFwzrr7K1sGHbsFc6M5U3V+VMieL25oL"
    "w65yNfiw5mZnpm4GxVM0JSZsWnTEomflQFEPaq7yG6J8d58rtArWzl8fh4+XJLeXPcMsLZ"
    "x2cjJNUJ2oInaP/UXdiv/wd0CYZY"
)
