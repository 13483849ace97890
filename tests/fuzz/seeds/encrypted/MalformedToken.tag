{"alg":"RSA-OAEP-256","enc":"A256GCM","cty":"JWT","kid":"enc-1"} + AAAA
{"alg":"HS256","typ":"JWT"}
{"iss":"https://secret.test/","sub":"app-1@clients","aud":"https://api.test/","iat":1799999940,"exp":1800003600,"azp":"app-1","gty":"client-credentials","scope":"read:messages"}
HS256