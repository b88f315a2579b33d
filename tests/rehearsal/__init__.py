"""An environment on AWS whose machines are node containers; the account is moto's."""
