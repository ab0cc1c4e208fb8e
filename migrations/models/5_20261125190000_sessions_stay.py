from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
-- By hand: a session that is not there was not ended, as far as processes can tell, so its tokens
-- would go on. It is ended, and removed when its last token is over; with its user, likewise.
CREATE FUNCTION keep_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a token of session % is good until %', OLD.id, OLD.tokens_until
        USING ERRCODE = 'restrict_violation',
            HINT = 'Disable the user (`enroll users disable`), which ends all sessions at once; '
                'delete when the last token is over.';
END $$;
CREATE TRIGGER sessions_stay BEFORE DELETE ON sessions
    FOR EACH ROW WHEN (OLD.tokens_until > now() - interval '1 minute')
    EXECUTE FUNCTION keep_session();
CREATE FUNCTION keep_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % would forget which sessions were ended', TG_TABLE_NAME;
END $$;
CREATE TRIGGER sessions_stay_all BEFORE TRUNCATE ON sessions
    FOR EACH STATEMENT EXECUTE FUNCTION keep_sessions();
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TRIGGER sessions_stay_all ON sessions;
        DROP FUNCTION keep_sessions;
        DROP TRIGGER sessions_stay ON sessions;
        DROP FUNCTION keep_session;"""


MODELS_STATE = (
    "eJztXf9z2joS/1c0zLtJMsPLJLRNeum7N0MS2nJNyV0g72veGGEL8MXI1LJDuV7f33678n"
    "djgw0kdXj+JROsXUn+rCztrlarL7WJqTFDHDYdTbdb3LbmtTPypcbphME/KaV1UqPTaViG"
    "D2w6MCQ5RTrFMEeSbCBsi6o2FAypIRg80phQLX1q6yZH8mvOCBDUiWmRvmo63O4Tiw0dAe"
    "TEHBITyu91rhF7TG2iQp+IapiCEdscMXvMrENsRzNVaEjno+1UecfveB+qMK0+0QWhxBHM"
    "Qjzq8L9qUH3CNFnNDKihMQKvq3Myo8JtiGlu4+aUWRRqOftBEvzYJ0N4DE3ccdWcTCj0wd"
    "A5e0M4VHYGfwemNpfVAP0I2tD5IWkSeDP4ZXl1C+gnUceUjxg2YrGJ+YB9sMyZxMLh+ieH"
    "Kf7LACK//wGP4YXZZybw55faUGeGJv+vURuZdK2GROzz1GJCgGyEz+cPA/2zEohW4WzGhG"
    "S051NZXJPcIGz8sQ+4Xra6F3Wia/Kfg9rXOok3i+jKIbJO+wF3RvNYDLLK0wschxt0w2PP"
    "7AeUp3YE65zeK7Ivsc8NugBF8rni13p72758KylxrA8U1TScCQ+pp3N7bPKA3HF07RB5sG"
    "zEOA5CpkW+Qe4Yhve9+o/cUQMPbMthwXDRwgcaG1LHwC+59sPQ4fLNCLakOLYO8wMM6Cm1"
    "D/HJ6Y9ePyM8itK57indVk9RaguzAPYn8RV7j1QQAaCpcxsl8eWrW2+IjnxawwYu3jdv9l"
    "+cHEg8TGGPLFkosat9lYzUpkoo/BByV/ZxyC8BMhu+83TYXY4E7JrHcuj/sw78/oMQ/3Di"
    "9MH04YoB3DFn+wePA22v/bHV7TU//gurnwjxyZAINXstLGnIp/PE031XEibM/u66EFRCfm"
    "733hP8SX677rSS8groer/h5wrriW0q3JwpVIui4T/2H8kvOxBo8F3GhXoxplaGQAOOhFAB"
    "oicV43a+k9qEflYMxkf2GH6evFwi3J+aN/LTOXmZEFjHK2nIoq8xgE3Hhu+dpSPc4s5Eot"
    "yGPlGusgW0I+xlhrt2CePzjGiwON/xm9bb227r8sxf4ZNqRx5BHJ/kEMRx8ssJBYFFX5Mj"
    "3V0ICwx0l2Et4L21oJzDvPHqVQ54gSoTX1mWArBSbFGO8mywNJcM7E3W3hBPm1qglxYZsS"
    "HH7g3ZV8eNHEMWqDKHrCxLDFlNQ+210KwQsuweyNtf/iwGryns1GkhG+Q41+7hfNx4nWd5"
    "a7zOXt+wLA61tN8XUW5zOx3kgD6Br+4+fSrF4ngDUEfY8PeN45enL1+/OHn5Gkhk54Inp0"
    "tgbnd6CQQ1ZlPdSJkO/tm97qSDGGFJ2ji6apP/EUMXeeAs2XBdAhtiEbNu/EG5/7H5S3K8"
    "XlxdnyeXOqzgHJBHu354HzEz8cGAqvczamnKQonZMLNoF4smjUnyCeV0JIHEN8b387x1F6"
    "ZjCVZL8eN5JfVlPjxV0oh8HrwmcckXHXFBifSn6RPoquJYhudTG5oW00eceGtPnQjQmphG"
    "qCAj/YHxN4Ry4kwNk2roCUNuZNQ56T9QS6cg1H4daLSgbpuKe1m5PWYEf7gevgm9Z8Bn1w"
    "lMDboB/yGNxag2X8dhpgInjHilgMfIw3Ol2yysepXjStOHQ12Fr0N6YzfoUljRyt6FpHWS"
    "v6e2bhuscLcCrvSuyGJsdEl70WGav2HBqKWOM1u+7bY77wg6e/ed6ZRZ+xfNbs/tDml2iT"
    "dpHBwgiWJbo4liTmFoR2gj3crmWHytcIQrhYAM+bLRjNV9QH5+37ppkdhD0u4SmIFJ5/bq"
    "qvJdlsl3GQz33OaUz1Bmz0uZPADRni3g3IOvKEuHirHtBNrLfMStX3rLFajARXx13Xnnky"
    "e1qgT0sVVuHU9jvIYyC6F23nrX7nRaN2fknMFaAH2646DNt24+ti7bzV7rjIDRw6wJ03To"
    "7B1vXv7U7FygR7KpPeDLl8QlGeh5RWalGNPumcaNo5d5bGMky56aZGHCOo4pfkV2sOKc1U"
    "5WSXeynKm2poDjnJWASyrguF5fRHtOMlY7DSnelzSgF1F+67oiPrD5gjaRQNVzovS8ap4l"
    "ruHTsIsWnQX23OLQAgDgtZktIYBeROzAdNdWCDvjlmkYE4ZdWMD93GN+++GGGTRDVfYgbw"
    "UVlUdn2xj52FTge7U2w6mNwvvJrWpXkXK9ghsCdSsr2SWIHt+h3DNtatQyvcpucX21a1mx"
    "kTKng/m9OSPQr7nnTZYxnJSElh26ezEK00pxQRfkXe0KzvR9ldNWXe0R+8tZqkt8af7wzb"
    "nXGNB/273GbVmsW9h3LMnuV0RXSJmr4ppE9lSVUF3y7IQJ29GAfk+QqUFVhptV1Jt63hDd"
    "FiSCeZ1w05ZbVSq0XffiyoB+QGVwedp+2tbrL7j35bWvsAnV5cj3pvPVWxLOJyWCpxKrSA"
    "lrqWftUcQY6iTgWNwpiVXmtllsayzaT6+ylRt3fpt1Emlx1dbYpp1b1atlXan2cMqzh7Pw"
    "VeX1mi4wltnBvabr9EXjKMe6D1SZC78si/tNE19eEb9agrVyrJXUsVa5xndcwJVrfMcFHF"
    "Pk8iokMaZt6iXlcPps1yeuBrGAG/rDw6DC5wnrSpd4bFjF3OEXze5F87K1zBv+NKZupm8u"
    "SVLPZ/QW8tH9jIGWeCJaGGB0jqkggjFO8JQXhmiSkfnGjcqUdaK/Tf4UzsR1yRmG5BSLRu"
    "9Wa97Av4eVFPAN+eTbcQ09hhvviQPSs82f5VtE+igT4wTjLnnh/t5ovHhx2jh6cfL61cvT"
    "01evjwLUF4uWwX/efocSiC3ii2cEPEOyIP5Rrgr8QuCXxFEa2yxMWTqSm4nZ64a7Zxzdws"
    "yX+0Po/2Xupoy7xO4JN/L4DKP/zcF/mGpjMU7pA0e9ZzZxYGxYpH/P5v303B+bV5myTPwe"
    "UZZmumaPa3/kXTkqj9qTe9RcCeVfrQP6XZrGtnaCbAzGwLiI8hMyVHim4Dk0rUma1yLb0R"
    "ty7KCHd/shyIO5zVJ0mczxGtBXwzVluMKyWGSseuQ7OFAf5XhJ5eWqvFyVl2uFnfKBTe0m"
    "FzOpiy9YKZHS+jIb5R7oFCoJ80Z0cOLS1zHp3oC5J5MJHQGIb4jOBbNsmabPdUFZQOxmkk"
    "IDY4aeK90mNjOMFMfWFuuW56s1fcSEHZx/7r5vft94dSITHso0hDITnUoNA0wddJzBPF0n"
    "/SH0hllT6BSwyuPSnmnkZavYE5irkNtg52MmDTJmn6nGVDCoDAItYswJo+r4kASv49YCvf"
    "DCTyxG5ix4gHkPdRtfDB5uePx6dbREVOKKxymHxIrj18sCJFyci6yIIUd5g/rWXBK3lVsl"
    "25SLDNBCGnOcbQe1ke2ntYH1z3ZS9OYufOzGEi+gz7WW9lyyMxKe8vyicXoS6M34Y5nK3P"
    "3YvLpKM5thprQKJV6JsFSJV4olXonZf6aWYrKc65xa8wwL0ONIoB4YhjuD97kHYYA3wH3e"
    "7jRvfk0/qH2eAvn5r71WszqJuvvRGCXZpbhhQ3iRcc+8Z7yWov/HypdaAJZLCcomkOaO6v"
    "a4iOSqk3uAiJPBXAZcB2o2N+YZCnJaIPc2qiwau+2qyfnSx8SBUjzebNU5rDwlzPnzVIfK"
    "8mnsiYY93uyGw8ornf2JFcclO/qhxAsuBnHOUi0Gj59C5TksCbEITLFe+KXY5mr/fFSvZy"
    "ffyIqxIOJs33Scq3JOL3dOR1bWDb3T3bCm5wnsSvd0fGSVyT/tY5+inEbEkq2XCl8hyqWR"
    "ypBI/9IZcwrC1tzTf7rmZchkD8yau8qld8uNOXEPP+t2Rojl+vVJ73O4cEsPtPQLc036qZ"
    "GZjOHlQaE7JH1Ps5O5OCXtbMxcH7dBhe3WKQhVVcDEbVLccahLnOElN+wBnmjEA8xN5Dlh"
    "kwHD1KGya4bJR9Fbc7hp6yBGQfrIrEpHuOj77UDF6yjTXj/y6bS+dBWPK1ubDav10zCGT+"
    "I5GBM6Nl5QlE+zDzqDgs7uiVdhRjfSulBIzQ96sSUFv4qxevIYq8rjs+PqX2XF/SXEHF2P"
    "iwo6yVuJutSijmgtBQUd56zM9jJL2dcFCyhEEZbKYF9usCNUW7DWb71qniekK031yIAqaq"
    "dHp6vkbk1iQ7dAtrfkHtGO4P6oOd+67vmuWppXwyuqL/VqRM6H5fFqmNJT4Hoc0JBn0h/A"
    "WeYFI/lYNjj0WTgjy5YzsZRo12iLeVjyHAVVil78lMZahfOX67ihTJubMpv46XSzpxJMRp"
    "t7v36qM1WeABSGOSMz07qv54qnhTaAAK/oTvOSbqle6S2FgeWwvgzD7eNXRm2bTaa26Mvz"
    "614ELr7zHvo3Rzq+s6wSOZBkqGMOImx0MPfCdQ06rxNh3vGZNysyLpsRhDOmyVvDMcyAUI"
    "Loy+iCQ9LHGZNFnLGyYVDhsd7ZWFfHQC+r0fCC8TsuXax4Q/nUGRi6GMPziQNz7oD5F6PX"
    "3U4Sy+EcoJOzsSSx2NS03GvZB/h26ExGUAzQv9bxwcpBhF+5pZuW7mbNpA8w/+KgyeeGlM"
    "NK0ZwlVw251777bXh51KLN+C5SjINk5B9kz4Vrb8FBGoE6d9ckT3bnIlXGu9HukH2/I3Wy"
    "58liL+UiKaY5U6bgoZ0VfXI++XCFLJkdC2nW7NdQ53J0FZGjz5PdrUitfr8ij5Z62Ne4Y8"
    "vt1fYu/ZIQIvPafZE1rOyRpFp6x1flhy+PH96fBvOqqMG0uXsh8Y9yAym1RoViuH36jQK4"
    "y4bzU0dwyyWiyKgOGHbv8qDtH/SIakxFjnpE+b6tbXW0sT21jRMecU0od2hpjGv3xuujHJ"
    "MOdJ9FlFdn1g+Yv/Ga5yq+i0DX/n3busX8+C7BHb+57XTanXdnvhF1x7u3Fxet1iUSCUdV"
    "waJDurfN9hU+GoI5gr8vMM/+lXykIhJoJCYN2VwL6dZTMrjdUbxTpSxFTTw3TTBneEbIQA"
    "p78qwO8D+lNNPdD1s5o3N9fRVbUc/bycsSbz+et0ACUgBApLve9cUZamqZuMwWPtQX5atm"
    "elDqPAdNAYdklOW5Q7i1XCJRZ1cBLJNsO3TSdGvQxlxfC9Au395P8pYqjqOKyYrM577XdQ"
    "0hJ3mrKI4ySzrqLS4o6ARrJecyyxm3kdIiSrLtx5Cjsh1z2Y7MsswUhLPvbg8YdgHgZR/L"
    "Y1zajtuzDPeLiyAeY6pQL466Zxmnxv1lTyVxrl3A/Qk2BORYVWRSrM+FzpQvMO4e4K+OGz"
    "kAB6pMwGVZlVvkL6UDCZta6wk4zllpumWWcjSko6CYE6yVnMsm55IEGHp3eqeEGIa3fWcH"
    "GUauFV8dZti1sQtEZgg7I5pjYS3hWWa3Loyoc9NPYlycGwavhUT+dQkYHOWdQ46FHD5SGx"
    "sERFfxPU8e34MFKbtlS5LZ+RxrJrN7RrEnVTa7SuOs7hYs5Tm5Kut63rNypc26Ls8opulS"
    "YlWmdTz+VyDFuipP7Lj3+I2pGKNKM6VCGPpgT+ChBmIaGul/16Df9fE8gSAPzNKH8/Sk6m"
    "vXhkczwrwxmHLGvUrQi6p2z3MEJ840XeDranieARQpVMJMVKeIZRp5D57FwruxjzMThIad"
    "zhHSLUFW4F0kw7IcKnc1gw3tu9r+fqyNg7Mz9ETVyemBHw2fTkH+/JPsfdf42577swoAL5"
    "WCiOOgaBB4lGfnjio+yiZS/OssAPUC4w4G3j8K4jiPpgO9OuLT5y0z1rXm5cd254xQbaLD"
    "ytPt3V62Or0zIsKz1SWI26wsod22hHw1Zg0JJ1grr2zZ5FzAK7uQkXTDfBu7l430UVNtNM"
    "ECUce1FGPLK1lqbtGQZpW9lQ3Dlr3CmbG8qTp/SgSvNxeUV+d85GvRwcxMzwycrWpGWMqs"
    "+JRJycSPqgDCHvkOont8lCe/C1BlK49HR4uXW8qb4xYRzj4+G2GpTtAWPEH7TXdhv/4fa6"
    "uSFg=="
)
